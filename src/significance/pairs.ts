// Two components rounded at once, everything else FP32: what they do together beside what each does alone.
import { BitlaneError } from '../errors.js';
import { readModel } from '../onnx/index.js';
import { type Component, componentsOf, prepareModel } from '../quantization/index.js';
import { modelWith, type Perturbation } from './alone.js';
import { type ClassSpace, compactRows } from './compact.js';
import { Evaluator } from './evaluator.js';
import { looksAt } from './looks.js';
import { CriticalSet, type Effects, effectsOf, objectsOf } from './measures.js';
import { findObjects, type LabelledPicture } from './objects.js';
import { type MeasuredBits, type Perturbations, perturbationOf, type Variant } from './perturb.js';
import { chunksOf, fittingChunk } from './plan.js';
import type { DetectorSpec } from '../registry/index.js';

/** The weights of a component at a bit-width. */
export interface Rounded {
  readonly component: string;
  readonly bits: MeasuredBits;
}

export interface PairsOptions {
  /** The FP32 model. */
  readonly model: { readonly path: string; readonly detector: DetectorSpec };
  readonly space: ClassSpace;
  readonly pictures: readonly LabelledPicture[];
  /** As in the map: indices of kept classes. */
  readonly groups: readonly (readonly number[])[];
  readonly temperature: number;
  readonly perturbations: Perturbations;
  readonly signal?: AbortSignal;
  readonly onProgress?: (done: number, all: number) => void;
}

/** What a pair does, on the same objects. */
export interface PairEffects {
  readonly first: Effects;
  readonly second: Effects;
  readonly both: Effects;
}

const variantOf = ({ bits }: Rounded): Variant => ({ kind: 'weights', bits });
const keyOf = ({ component, bits }: Rounded): string => JSON.stringify([component, bits]);

/**
 * Measures pairs exactly: the model with the first component rounded is evaluated as FP32 is for the map, with the second one
 * rounded alone in it. Blocks the thread.
 *
 * @returns in the order of the pairs
 * @throws BitlaneError `BAD_CONFIG` where a pair names what the model lacks or what was not rounded; the reason of `signal`
 */
export const measurePairs = async (
  pairs: readonly (readonly [Rounded, Rounded])[],
  options: PairsOptions,
): Promise<PairEffects[]> => {
  const { model: source, space, groups, temperature, perturbations, signal } = options;
  const model = prepareModel(readModel(source.path));
  const components = new Map(componentsOf(model).map((component) => [component.name, component]));
  const order = [...components.keys()];
  const roundingOf = (rounded: Rounded): readonly [Component, Perturbation] => {
    const component = components.get(rounded.component);
    const how = component && perturbationOf(perturbations, component, variantOf(rounded));
    if (component !== undefined && how !== undefined) return [component, how];
    throw new BitlaneError(
      'BAD_CONFIG',
      `the weights of ${rounded.component} at ${rounded.bits} bits are not known: measure its significance at that bit-width first`,
    );
  };
  for (const rounded of pairs.flat()) roundingOf(rounded);
  const found = await findObjects(model, source.detector, space, options.pictures, {
    ...(signal && { signal }),
  });
  const critical = new CriticalSet(
    objectsOf(found.pictures, options.pictures[0]?.objects !== undefined),
    found.rows,
    found.pictures.length,
    { groups, costs: [] },
    temperature,
  );
  const rows = new Map<string, Float32Array[]>();
  const keep = (key: string, own: Float32Array): void => {
    const known = rows.get(key) ?? [];
    rows.set(key, known);
    known.push(own);
  };
  /** Evaluates components alone, in FP32 or beside `beside`. */
  const evaluate = async (beside: Rounded | undefined, wanted: readonly Rounded[]): Promise<void> => {
    const evaluator = await Evaluator.open(
      beside === undefined ? model : modelWith(model, ...roundingOf(beside)),
      source.detector,
    );
    try {
      for (const { pictures } of chunksOf(found.pictures, fittingChunk(evaluator))) {
        const indices = pictures.flatMap(({ rows: own }) => own);
        const of = ({ name }: Component): Rounded[] => wanted.filter(({ component }) => component === name);
        await evaluator.run(await looksAt(source.detector, pictures), {
          perturbations: (component) =>
            of(component).flatMap((each) => perturbationOf(perturbations, component, variantOf(each)) ?? []),
          done: (component, raw) => {
            for (const [index, each] of of(component).entries()) {
              const own = compactRows(evaluator.rows, raw[index] ?? new Float32Array(0), indices, space);
              keep(keyOf(each) + (beside === undefined ? '' : keyOf(beside)), own);
            }
          },
          ...(signal && { signal }),
        });
      }
    } finally {
      await evaluator.release();
    }
  };
  const unique = (all: readonly Rounded[]): Rounded[] => [
    ...new Map(all.map((each) => [keyOf(each), each])).values(),
  ];
  // The later one of a pair is rounded alone: less of the network lies behind it.
  const sorted = pairs.map(([a, b]): readonly [Rounded, Rounded] =>
    order.indexOf(a.component) <= order.indexOf(b.component) ? [a, b] : [b, a],
  );
  const firsts = unique(sorted.map(([first]) => first));
  let done = 0;
  const step = (): void => options.onProgress?.(++done, firsts.length + 1);
  await evaluate(undefined, unique(pairs.flat()));
  step();
  for (const first of firsts) {
    const own = sorted.filter(([each]) => keyOf(each) === keyOf(first)).map(([, second]) => second);
    await evaluate(first, unique(own));
    step();
  }
  const effects = (key: string): Effects =>
    effectsOf(critical.measure(concatenated(rows.get(key) ?? [], found.rows)));
  return pairs.map(([a, b], index) => {
    const [first, second] = sorted[index] ?? [a, b];
    return {
      first: effects(keyOf(a)),
      second: effects(keyOf(b)),
      both: effects(keyOf(second) + keyOf(first)),
    };
  });
};

/** Rows of all chunks; those of FP32 where a component reaches no output. */
const concatenated = (parts: readonly Float32Array[], plain: Float32Array): Float32Array => {
  if (parts.length === 0) return plain;
  const all = new Float32Array(plain.length);
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
};
