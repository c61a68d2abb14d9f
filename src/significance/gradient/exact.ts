// Single filters rounded alone, exactly: what estimates are held against, and what the most important ones are replaced by.
import type { Model } from '../../onnx/index.js';
import { type Component, componentsOf } from '../../quantization/index.js';
import type { DetectorSpec } from '../../registry/index.js';
import type { Perturbation } from '../alone.js';
import { type ClassSpace, compactRows, compactWidth } from '../compact.js';
import { Evaluator } from '../evaluator.js';
import { looksAt } from '../looks.js';
import type { CriticalSet, Measured } from '../measures.js';
import type { FoundObjects } from '../objects.js';
import type { MeasuredBits, Perturbations, RoundedLayer } from '../perturb.js';
import { fittingChunk } from '../plan.js';

/** An output channel of a component. */
export interface Filter {
  /** Its component's name. */
  readonly component: string;
  readonly channel: number;
}

export interface ExactOptions {
  /** From `prepareModel`. */
  readonly model: Model;
  readonly detector: DetectorSpec;
  readonly space: ClassSpace;
  readonly found: FoundObjects;
  readonly critical: CriticalSet;
  readonly perturbations: Perturbations;
  readonly bits: readonly MeasuredBits[];
  readonly filters: readonly Filter[];
  /** Whether heads are computed around rows only. */
  readonly windows: boolean;
  readonly signal?: AbortSignal;
  readonly onProgress?: (done: number, all: number) => void;
}

const floatsOf = (model: Model, name: string | undefined): Float32Array | undefined => {
  const tensor = name === undefined ? undefined : model.graph.value(name)?.constant;
  return tensor?.kind === 'dense' && tensor.type === 'float32' ? tensor.data : undefined;
};

/** A layer in which one channel alone is as rounding makes it. */
const withChannel = (
  model: Model,
  { weight, bias, weightDims, axis }: Component,
  rounded: RoundedLayer,
  channel: number,
): Perturbation => {
  const weights = floatsOf(model, weight)?.slice() ?? new Float32Array(rounded.weights.length);
  const channels = weightDims[axis] ?? 1;
  const inner = weightDims.slice(axis + 1).reduce((product, dim) => product * dim, 1);
  for (let at = channel * inner; at < weights.length; at += channels * inner) {
    weights.set(rounded.weights.subarray(at, at + inner), at);
  }
  const biases = floatsOf(model, bias)?.slice();
  if (biases !== undefined && rounded.bias !== undefined) biases[channel] = rounded.bias[channel] ?? 0;
  return { kind: 'weights', weights, bias: biases };
};

/**
 * Rounds each of some filters alone and measures what that does, by running what is behind it. Blocks the thread.
 *
 * @returns for each filter, in their order, and each bit-width, what was measured; undefined for filters that reach no output
 */
export const measureFilters = async (
  options: ExactOptions,
): Promise<readonly (readonly (Measured | undefined)[])[]> => {
  const { model, detector, space, found, critical, perturbations, bits, filters, signal } = options;
  const width = compactWidth(space);
  const objects = found.rows.length / width;
  const evaluator = await Evaluator.open(model, detector, { windows: options.windows });
  const rows = new Map<string, Float32Array>();
  const keyOf = ({ component, channel }: Filter, width_: MeasuredBits): string =>
    `${width_} ${channel} ${component}`;
  const jobsOf = ({ name }: Component): { readonly key: string; readonly filter: Filter; readonly bits: MeasuredBits }[] =>
    filters
      .filter(({ component }) => component === name)
      .flatMap((filter) => bits.map((each) => ({ key: keyOf(filter, each), filter, bits: each })));
  try {
    const size = fittingChunk(evaluator);
    const touched = evaluator.components.filter((component) => jobsOf(component).length > 0).length;
    const chunks = Math.ceil(found.pictures.length / size);
    let [first, done] = [0, 0];
    for (let at = 0; at < found.pictures.length; at += size) {
      const pictures = found.pictures.slice(at, at + size);
      const indices = pictures.flatMap((picture) => picture.rows);
      await evaluator.run(await looksAt(detector, pictures), {
        perturbations: (component) =>
          jobsOf(component).flatMap(({ filter, bits: each }) => {
            const layer = perturbations.weights.get(component.name)?.get(each);
            return layer === undefined ? [] : [withChannel(model, component, layer, filter.channel)];
          }),
        done: (component, raw) => {
          const jobs = jobsOf(component).filter(
            (job) => perturbations.weights.get(component.name)?.get(job.bits) !== undefined,
          );
          for (const [i, { key }] of jobs.entries()) {
            const own = raw[i];
            if (own === undefined) continue;
            const all = rows.get(key) ?? new Float32Array(objects * width);
            rows.set(key, all);
            all.set(compactRows(evaluator.rows, own, indices, space), first * width);
          }
          options.onProgress?.(++done, touched * chunks);
        },
        ...(signal && { signal }),
      });
      first += indices.length;
    }
  } finally {
    await evaluator.release();
  }
  return filters.map((filter) =>
    bits.map((each) => {
      const own = rows.get(keyOf(filter, each));
      return own && critical.measure(own);
    }),
  );
};

/** All filters of a model, in its order. */
export const filtersOf = (model: Model): Filter[] =>
  componentsOf(model).flatMap(({ name, outputChannels }) =>
    Array.from({ length: outputChannels }, (_, channel) => ({ component: name, channel })),
  );
