// Single filters rounded alone, exactly: what estimates are held against, and what the most important ones are replaced by.
import type { Model } from '../../onnx/index.js';
import { type Component, componentsOf } from '../../quantization/index.js';
import type { DetectorSpec } from '../../registry/index.js';
import type { Perturbation } from '../alone.js';
import { type ClassSpace, compactRows, compactWidth } from '../compact.js';
import { Evaluator } from '../evaluator.js';
import { looksAt } from '../looks.js';
import type { CriticalSet, Measured } from '../measures.js';
import type { FoundObjects, PictureObjects } from '../objects.js';
import { floatsOf, type MeasuredBits, type Perturbations, type RoundedLayer } from '../perturb.js';
import { fittingChunk } from '../plan.js';
import { runOf } from './channels.js';

/** An output channel of a component. */
export interface Filter {
  /** Its component's name. */
  readonly component: string;
  readonly channel: number;
}

/** What is done to which filters. */
export interface FilterJobs {
  /** From `prepareModel`. */
  readonly model: Model;
  readonly detector: DetectorSpec;
  readonly space: ClassSpace;
  readonly perturbations: Perturbations;
  readonly bits: readonly MeasuredBits[];
  readonly filters: readonly Filter[];
  readonly signal?: AbortSignal;
}

export interface ExactOptions extends FilterJobs {
  readonly found: FoundObjects;
  readonly critical: CriticalSet;
  /** Whether heads are computed around rows only. */
  readonly windows: boolean;
  readonly onProgress?: (done: number, all: number) => void;
}

/** A layer in which one channel alone is as rounding makes it. */
const withChannel = (
  model: Model,
  component: Component,
  rounded: RoundedLayer,
  channel: number,
): Perturbation => {
  const weights = floatsOf(model, component.weight)?.slice() ?? new Float32Array(rounded.weights.length);
  const inner = runOf(component);
  for (let at = channel * inner; at < weights.length; at += component.outputChannels * inner) {
    weights.set(rounded.weights.subarray(at, at + inner), at);
  }
  const biases = floatsOf(model, component.bias)?.slice();
  if (biases !== undefined && rounded.bias !== undefined) biases[channel] = rounded.bias[channel] ?? 0;
  return { kind: 'weights', weights, bias: biases };
};

/**
 * Compact rows of the objects of some pictures with each filter rounded alone, by filter and bit-width; undefined for filters that
 * reach no output. Memory: what the evaluator says for each picture. Blocks the thread.
 *
 * @param onComponent after each component that has any of the filters
 */
export const filterRows = async (
  evaluator: Evaluator,
  { model, detector, space, perturbations, bits, filters, signal }: FilterJobs,
  pictures: readonly PictureObjects[],
  onComponent: () => void = () => undefined,
): Promise<(Float32Array | undefined)[][]> => {
  const rows = filters.map(() => bits.map((): Float32Array | undefined => undefined));
  const jobsOf = ({ name }: Component) =>
    filters.flatMap(({ component, channel }, filter) =>
      component !== name
        ? []
        : bits.flatMap((width, at) => {
            const layer = perturbations.weights.get(name)?.get(width);
            return layer === undefined ? [] : [{ filter, channel, at, layer }];
          }),
    );
  const indices = pictures.flatMap((picture) => picture.rows);
  await evaluator.run(await looksAt(detector, pictures), {
    perturbations: (component) =>
      jobsOf(component).map(({ channel, layer }) => withChannel(model, component, layer, channel)),
    done: (component, raw) => {
      for (const [i, { filter, at }] of jobsOf(component).entries()) {
        const [own, all] = [raw[i], rows[filter]];
        if (own !== undefined && all !== undefined) {
          all[at] = compactRows(evaluator.rows, own, indices, space);
        }
      }
      onComponent();
    },
    ...(signal && { signal }),
  });
  return rows;
};

/**
 * Rounds each of some filters alone and measures what that does, by running what is behind it. Blocks the thread.
 *
 * @returns for each filter, in their order, and each bit-width, what was measured; undefined for filters that reach no output
 */
export const measureFilters = async (
  options: ExactOptions,
): Promise<readonly (readonly (Measured | undefined)[])[]> => {
  const { model, detector, space, found, critical, bits, filters } = options;
  if (filters.length === 0) return [];
  const width = compactWidth(space);
  const evaluator = await Evaluator.open(model, detector, { windows: options.windows });
  const rows = filters.map(() => bits.map((): Float32Array | undefined => undefined));
  try {
    const names = new Set(filters.map(({ component }) => component));
    const touched = evaluator.components.filter(({ name }) => names.has(name)).length;
    const size = fittingChunk(evaluator);
    const chunks = Math.ceil(found.pictures.length / size);
    let [first, done] = [0, 0];
    for (let at = 0; at < found.pictures.length; at += size) {
      const pictures = found.pictures.slice(at, at + size);
      const own = await filterRows(evaluator, options, pictures, () =>
        options.onProgress?.(++done, touched * chunks),
      );
      for (const [filter, each] of own.entries()) {
        for (const [bit, part] of each.entries()) {
          const all = rows[filter];
          if (part === undefined || all === undefined) continue;
          (all[bit] ??= new Float32Array(found.rows.length)).set(part, first * width);
        }
      }
      first += pictures.reduce((sum, picture) => sum + picture.rows.length, 0);
    }
  } finally {
    await evaluator.release();
  }
  return rows.map((each) => each.map((own) => own && critical.measure(own)));
};

/** All filters of a model, in its order. */
export const filtersOf = (model: Model): Filter[] =>
  componentsOf(model).flatMap(({ name, outputChannels }) =>
    Array.from({ length: outputChannels }, (_, channel) => ({ component: name, channel })),
  );
