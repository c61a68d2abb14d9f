// How a model is evaluated on pictures: heads around rows where that is exact, and so many pictures at once as memory allows.
import { createHash } from 'node:crypto';
import { BitlaneError } from '../errors.js';
import type { Model } from '../onnx/index.js';
import type { DetectorSpec } from '../registry/index.js';
import { type ClassSpace, compactRows } from './compact.js';
import { Evaluator } from './evaluator.js';
import { looksAt } from './looks.js';
import type { FoundObjects, PictureObjects } from './objects.js';

const BYTES_PER_CHUNK = 256 * 2 ** 20;
const LARGEST_CHUNK = 32;
/** Pictures on which heads around rows are held against whole ones, and how far they may be apart. */
const CHECKED = 2;
const NEAR = 1e-3;

export const sha256 = (value: unknown): string =>
  createHash('sha256').update(JSON.stringify(value)).digest('hex');

/** Pictures that fit into memory at once. */
export const fittingChunk = ({ bytesPerPicture }: Evaluator): number =>
  Math.min(LARGEST_CHUNK, Math.max(1, Math.floor(BYTES_PER_CHUNK / Math.max(1, bytesPerPicture))));

/** Whether rows computed around themselves are what the whole model gives. */
const isExact = async (
  evaluator: Evaluator,
  spec: DetectorSpec,
  space: ClassSpace,
  found: FoundObjects,
): Promise<boolean> => {
  const pictures = found.pictures.slice(0, CHECKED);
  const plain = await evaluator.plain(await looksAt(spec, pictures));
  const indices = pictures.flatMap(({ rows }) => rows);
  return compactRows(evaluator.rows, plain, indices, space).every((value, i) => {
    const whole = found.rows[i] ?? 0;
    return Math.abs(value - whole) <= NEAR * (1 + Math.abs(whole));
  });
};

export interface PlanOptions {
  readonly detector: DetectorSpec;
  readonly space: ClassSpace;
  readonly processes: number;
  readonly wholeHeads: boolean;
  readonly chunk: number | undefined;
}

export interface EvaluationPlan {
  /** Whether heads are computed around rows only. */
  readonly windows: boolean;
  /** Pictures that a process takes at once. */
  readonly chunk: number;
  /** Names of the components that reach the output. */
  readonly reached: ReadonlySet<string>;
}

/** Opens the model as exactly as fast as can be. */
export const planOf = async (
  model: Model,
  { detector, space, processes, wholeHeads, chunk }: PlanOptions,
  found: FoundObjects,
): Promise<EvaluationPlan> => {
  for (const windows of wholeHeads ? [false] : [true, false]) {
    const evaluator = await Evaluator.open(model, detector, { windows });
    try {
      if (windows && !(await isExact(evaluator, detector, space, found))) continue;
      const fair = Math.max(1, Math.ceil(found.pictures.length / processes));
      return {
        windows,
        chunk: chunk ?? Math.min(fittingChunk(evaluator), fair),
        reached: new Set(evaluator.components.map(({ name }) => name)),
      };
    } finally {
      await evaluator.release();
    }
  }
  throw new BitlaneError('INTERNAL', 'the model does not give the same rows twice');
};

/** Pictures that are evaluated together. */
export interface ChunkPlan {
  /** Of what is in it. */
  readonly key: string;
  readonly pictures: readonly PictureObjects[];
  readonly objects: number;
}

export const chunksOf = (pictures: readonly PictureObjects[], size: number): ChunkPlan[] => {
  const chunks: ChunkPlan[] = [];
  for (let at = 0; at < pictures.length; at += size) {
    const own = pictures.slice(at, at + size);
    chunks.push({
      key: sha256(own.map(({ hash, rows }) => [hash, rows])),
      pictures: own,
      objects: own.reduce((sum, { rows }) => sum + rows.length, 0),
    });
  }
  return chunks;
};
