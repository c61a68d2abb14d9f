// Exact evaluation beside the naive one: one session per component over the whole network. For the benchmark.
import { createHash } from 'node:crypto';
import { BitlaneError } from '../errors.js';
import { type Model, writeModel } from '../onnx/index.js';
import type { Component } from '../quantization/index.js';
import type { DetectorSpec } from '../registry/index.js';
import { withSession } from '../runtime/index.js';
import { modelWith, type Perturbation } from './alone.js';
import { type ClassSpace, compactRows } from './compact.js';
import { Evaluator } from './evaluator.js';
import { looksAt } from './looks.js';
import { CriticalSet, type Measured, objectsOf } from './measures.js';
import { findObjects, type LabelledPicture, type PictureObjects } from './objects.js';
import { type Perturbations, perturbationOf, type Variant } from './perturb.js';
import { takeRows } from './rows.js';
import { withExactScores } from './scores.js';
import { meanOf, type PictureSums, randomNumbers, splitHalf } from './statistics.js';

/** What was measured of one chunk of pictures. */
export interface ComparedChunk {
  readonly exactMs: number;
  readonly naiveMs: number;
  /** Largest difference of the S_c, or of the divergence, of a component on these pictures. */
  readonly worst: number;
  /** Components that were evaluated naively, of how many. */
  readonly naiveRuns: number;
  readonly naiveOf: number;
  readonly pictures: number;
  readonly objects: number;
  /** Where the compact rows of components lie among the chunk's numbers. */
  readonly rows: { component: string; variant: number; floats: number }[];
}

export interface CompareOptions {
  /** From `prepareModel`. */
  readonly model: Model;
  readonly detector: DetectorSpec;
  readonly space: ClassSpace;
  readonly pictures: readonly LabelledPicture[];
  readonly groups: readonly (readonly number[])[];
  readonly perturbations: Perturbations;
  /** Of weights. */
  readonly variants: readonly Variant[];
  /** Pictures at once. */
  readonly chunk: number;
  /** Components of a chunk that are evaluated naively: others in each. */
  readonly layers: number;
  /** Chunks to look at. */
  readonly most: number;
  readonly kept?: (
    key: string,
  ) => { readonly header: ComparedChunk; readonly floats: Float32Array } | undefined;
  readonly keep?: (key: string, header: ComparedChunk, floats: readonly Float32Array[]) => void;
}

export interface Comparison {
  readonly chunks: readonly ComparedChunk[];
  /** Components that reach the output. */
  readonly components: number;
  /** Critical objects. */
  readonly objects: number;
  /** Largest difference of S_c, or of the divergence, between the two, over chunks, components and variants. */
  readonly worst: number;
  /** For each variant, what each component does. */
  readonly measured: readonly (readonly Measured[])[];
}

const keyOf = (options: CompareOptions, pictures: readonly PictureObjects[], number: number): string =>
  createHash('sha256')
    .update(
      JSON.stringify([
        number,
        options.layers,
        options.variants,
        pictures.map(({ hash, rows }) => [hash, rows]),
      ]),
    )
    .digest('hex');

/** Largest difference of the means, over pictures, of two sums of the same. */
const apart = (a: PictureSums | undefined, b: PictureSums | undefined): number =>
  a === undefined || b === undefined ? NaN : Math.abs(meanOf(a) - meanOf(b));

const compareChunk = async (
  options: CompareOptions,
  evaluator: Evaluator,
  pictures: readonly PictureObjects[],
  fp32: Float32Array,
  number: number,
): Promise<{ readonly header: ComparedChunk; readonly floats: Float32Array[] }> => {
  const { model, space, variants, perturbations } = options;
  const looks = await looksAt(options.detector, pictures);
  const indices = pictures.flatMap(({ rows }) => rows);
  const compact = (raw: Float32Array): Float32Array => compactRows(evaluator.rows, raw, indices, space);
  const of = (component: Component): Perturbation[] =>
    variants.flatMap((variant) => perturbationOf(perturbations, component, variant) ?? []);
  const exact = new Map<string, readonly Float32Array[]>();
  const start = performance.now();
  await evaluator.run(looks, {
    perturbations: of,
    done: (component, rows) => void exact.set(component.name, rows.map(compact)),
  });
  const exactMs = performance.now() - start;
  const random = randomNumbers(number + 1);
  const pool = [...evaluator.components];
  const chosen = Array.from({ length: Math.min(options.layers, pool.length) }, () =>
    pool.splice(Math.floor(random() * pool.length), 1),
  ).flat();
  const critical = new CriticalSet(
    objectsOf(pictures, true),
    fp32,
    pictures.length,
    { groups: options.groups, costs: [] },
    1,
  );
  let [naiveMs, worst] = [0, 0];
  for (const component of chosen) {
    for (const [variant, perturbation] of of(component).entries()) {
      const from = performance.now();
      const parts: Float32Array[] = [];
      await withSession(
        writeModel(withExactScores(modelWith(model, component, perturbation))),
        { threads: 1 },
        async (session) => {
          for (const { feed, rows } of looks)
            parts.push(takeRows(evaluator.rows, await session.run(feed), rows));
        },
      );
      const raw = new Float32Array(parts.flatMap((part) => [...part]));
      const rows = compact(raw);
      naiveMs += performance.now() - from;
      const own = exact.get(component.name)?.[variant];
      if (own === undefined) {
        throw new BitlaneError('INTERNAL', `${component.name} was not evaluated exactly`);
      }
      if (critical.size === 0) continue;
      const [one, other] = [critical.measure(own), critical.measure(rows)];
      worst = Math.max(worst, apart(one.signed, other.signed), apart(one.divergence, other.divergence));
    }
  }
  const rows = [...exact].flatMap(([component, all]) =>
    all.map(({ length }, variant) => ({ component, variant, floats: length })),
  );
  const header = {
    exactMs,
    naiveMs,
    worst,
    naiveRuns: chosen.length,
    naiveOf: evaluator.components.length,
    pictures: pictures.length,
    objects: critical.size,
    rows,
  };
  return { header, floats: [...exact.values()].flat() };
};

/**
 * Evaluates all components exactly and a few of them naively, in turns, chunk by chunk, with one thread in this process. Blocks it.
 */
export const compareWithNaive = async (options: CompareOptions): Promise<Comparison> => {
  const { model, detector, space, variants } = options;
  const found = await findObjects(model, detector, space, options.pictures);
  const pictures = found.pictures.slice(0, options.most * options.chunk);
  const width = found.rows.length / Math.max(1, objectsOf(found.pictures, true).length);
  const evaluator = await Evaluator.open(model, detector);
  const chunks: ComparedChunk[] = [];
  const rows = new Map<string, Float32Array[][]>();
  let objects = 0;
  try {
    for (let at = 0; at < pictures.length; at += options.chunk) {
      const own = pictures.slice(at, at + options.chunk);
      const count = own.reduce((sum, { rows: all }) => sum + all.length, 0);
      const fp32 = found.rows.subarray(objects * width, (objects + count) * width);
      objects += count;
      const key = keyOf(options, own, at);
      const kept = options.kept?.(key);
      const made = kept ?? (await compareChunk(options, evaluator, own, fp32, at));
      if (kept === undefined && !(made.floats instanceof Float32Array)) {
        options.keep?.(key, made.header, made.floats);
      }
      chunks.push(made.header);
      const flat = made.floats instanceof Float32Array ? made.floats : undefined;
      let from = 0;
      for (const [index, { component, variant, floats }] of made.header.rows.entries()) {
        const part = flat?.subarray(from, from + floats) ?? (made.floats as Float32Array[])[index];
        from += floats;
        const all = rows.get(component) ?? variants.map((): Float32Array[] => []);
        rows.set(component, all);
        if (part !== undefined) all[variant]?.push(part);
      }
    }
  } finally {
    await evaluator.release();
  }
  const whole = new CriticalSet(
    objectsOf(pictures, true),
    found.rows.subarray(0, objects * width),
    pictures.length,
    { groups: options.groups, costs: [] },
  );
  const measured = variants.map((_, variant) =>
    [...rows.values()].map((all) => {
      const parts = all[variant] ?? [];
      const joined = new Float32Array(objects * width);
      let at = 0;
      for (const part of parts) {
        joined.set(part, at);
        at += part.length;
      }
      return whole.measure(joined);
    }),
  );
  return {
    chunks,
    components: rows.size,
    objects: whole.size,
    worst: chunks.reduce((most, each) => Math.max(most, each.worst), 0),
    measured,
  };
};

/** Split-half rank correlation of one measure of a comparison; null where it has no meaning. */
export const splitHalfOf = (
  { measured }: Comparison,
  variant: number,
  measure: 'robust' | 'divergence' | 'signed' | 'absolute',
): number | null =>
  splitHalf(
    (measured[variant] ?? []).flatMap((each) =>
      measure === 'robust' ? each.distances.critical : (each[measure] ?? []),
    ),
  );
