// The objects of D_crit: what the FP32 model found in pictures, and which labelled object each is.
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { BitlaneError, messageOf } from '../errors.js';
import {
  CONFUSION_DEFAULTS,
  ConfusionMatrix,
  judgePicture,
  type LabelledObject,
  PREDICT_DEFAULTS,
  readPicture,
} from '../evaluation/index.js';
import { type Model, writeModel } from '../onnx/index.js';
import type { DetectorSpec } from '../registry/index.js';
import { type Tensors, withSession } from '../runtime/index.js';
import {
  type Detection,
  inputTensor,
  iou,
  nonMaxSuppression,
  Preprocessor,
  toFrame,
} from '../vision/index.js';
import { type ClassSpace, compactRows, compactWidth, HEADER } from './compact.js';
import { type Rows, rowsOf, takeRows } from './rows.js';
import { withExactScores } from './scores.js';

/** A picture to look at, with its labels where there are any. */
export interface LabelledPicture {
  readonly path: string;
  /** In kept classes and in pixels; undefined where nobody labelled it. */
  readonly objects: readonly LabelledObject[] | undefined;
}

/** What was found in one picture. */
export interface PictureObjects {
  readonly path: string;
  /** SHA-256 of the file. */
  readonly hash: string;
  /** Rows of the output, one an object. */
  readonly rows: readonly number[];
  /** Kept class of each: its label's, or the model's own where there are no labels. */
  readonly truths: readonly number[];
}

export interface FoundObjects {
  /** Pictures with objects. */
  readonly pictures: readonly PictureObjects[];
  /** Compact FP32 rows of all objects, in order. */
  readonly rows: Float32Array;
  /** Of all pictures that have labels. */
  readonly confusion: ConfusionMatrix;
}

export interface FindOptions {
  /** Detections count above this score. */
  readonly score?: number;
  readonly signal?: AbortSignal;
  /** After each picture. */
  readonly onProgress?: (done: number) => void;
}

interface Candidate {
  readonly detection: Detection;
  readonly row: number;
}

/** Rows that can score at all: most have next to no objectness, and need not be read. */
const rowsAbove = (rows: Rows, outputs: Tensors, score: number): number[] => {
  const all = Array.from({ length: rows.count }, (_, row) => row);
  const objectness = rows.hasObjectness ? rows.columns[HEADER - 1] : undefined;
  if (objectness === undefined) return all;
  return all.filter((row) => {
    const { output, element } = objectness(row);
    return Number(outputs[output]?.data[element]) > score;
  });
};

/** What a detector shows of one picture: one class a place, overlapping boxes of a class suppressed. */
const candidatesIn = (
  rows: Rows,
  shown: readonly number[],
  compact: Float32Array,
  space: ClassSpace,
  score: number,
  toPicture: (detection: Detection) => Detection | undefined,
): Candidate[] => {
  const width = compactWidth(space);
  const rowOf = new Map<Detection, number>();
  const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));
  for (const [index, row] of shown.entries()) {
    const start = index * width;
    const at = (i: number): number => compact[start + i] ?? 0;
    let best = 0;
    for (let id = 1; id < space.classes.length; id++) if (at(HEADER + id) > at(HEADER + best)) best = id;
    const own = sigmoid(at(HEADER + best)) * (rows.hasObjectness ? sigmoid(at(4)) : 1);
    if (!(own > score)) continue;
    rowOf.set({ x1: at(0), y1: at(1), x2: at(2), y2: at(3), classId: best, score: own }, row);
  }
  const kept = nonMaxSuppression([...rowOf.keys()], {
    iouThreshold: PREDICT_DEFAULTS.iou,
    maxDetections: PREDICT_DEFAULTS.maxDetections,
  });
  return kept.flatMap((found) => {
    const detection = toPicture(found);
    const row = rowOf.get(found);
    return detection === undefined || row === undefined ? [] : [{ detection, row }];
  });
};

/** One to one, best overlap first and then best score, whatever the classes: as the confusion matrix pairs them. */
const matched = (
  candidates: readonly Candidate[],
  objects: readonly LabelledObject[],
): { readonly row: number; readonly truth: number }[] => {
  const pairs = objects
    .filter(({ crowd }) => !crowd)
    .flatMap((object) =>
      candidates.map((candidate) => ({ object, candidate, overlap: iou(candidate.detection, object) })),
    )
    .filter(({ overlap }) => overlap > CONFUSION_DEFAULTS.iou)
    .sort((a, b) => b.overlap - a.overlap || b.candidate.detection.score - a.candidate.detection.score);
  const taken = new Set<unknown>();
  return pairs.flatMap(({ object, candidate }) => {
    if (taken.has(object) || taken.has(candidate)) return [];
    taken.add(object).add(candidate);
    return [{ row: candidate.row, truth: object.classId }];
  });
};

/** SHA-256 of a file. */
const hashOf = (path: string): string => {
  try {
    return createHash('sha256').update(readFileSync(path)).digest('hex');
  } catch (error) {
    throw new BitlaneError('BAD_DATASET', `${path} cannot be read: ${messageOf(error)}`, { cause: error });
  }
};

/**
 * Runs the FP32 model over pictures and takes the objects that it finds. With labels those that a labelled object belongs to,
 * under the label's class; without labels what the model itself is sure of. Blocks the thread while the model runs.
 *
 * @param model from `prepareModel`
 * @throws BitlaneError `BAD_DATASET` when a picture cannot be read, `UNSUPPORTED` for a head without class distribution
 */
export const findObjects = async (
  model: Model,
  spec: DetectorSpec,
  space: ClassSpace,
  pictures: readonly LabelledPicture[],
  options: FindOptions = {},
): Promise<FoundObjects> => {
  const { input } = spec;
  const score = options.score ?? CONFUSION_DEFAULTS.score;
  const found: PictureObjects[] = [];
  const kept: Float32Array[] = [];
  const verdicts: ReturnType<typeof judgePicture> = [];
  const preprocessor = new Preprocessor();
  await withSession(writeModel(withExactScores(model)), { threads: 1 }, async (session) => {
    for (const [index, { path, objects }] of pictures.entries()) {
      options.signal?.throwIfAborted();
      const picture = await readPicture(path);
      const tensor = preprocessor.tensor(input);
      const transform = preprocessor.preprocess(picture, input, tensor);
      const outputs = await session.run({ [input.name]: inputTensor(input, tensor) });
      const rows = rowsOf(spec, outputs);
      const shown = rowsAbove(rows, outputs, score);
      const compact = compactRows(rows, takeRows(rows, outputs, shown), shown, space);
      const candidates = candidatesIn(rows, shown, compact, space, score, (detection) => {
        const box = toFrame(detection, transform, picture);
        return box.x2 > box.x1 && box.y2 > box.y1 ? { ...detection, ...box } : undefined;
      });
      const own =
        objects === undefined
          ? candidates.map(({ row, detection }) => ({ row, truth: detection.classId }))
          : matched(candidates, objects);
      if (objects !== undefined) {
        const detections = candidates.map(({ detection }) => detection);
        verdicts.push(
          ...judgePicture({ objects, detections }, space.classes.length, {
            ...CONFUSION_DEFAULTS,
            score,
          }),
        );
      }
      if (own.length > 0) {
        const width = compactWidth(space);
        found.push({
          path,
          hash: hashOf(path),
          rows: own.map(({ row }) => row),
          truths: own.map(({ truth }) => truth),
        });
        kept.push(
          ...own.map(({ row }) => {
            const at = shown.indexOf(row);
            return compact.slice(at * width, (at + 1) * width);
          }),
        );
      }
      options.onProgress?.(index + 1);
    }
  });
  const rows = new Float32Array(kept.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const row of kept) {
    rows.set(row, at);
    at += row.length;
  }
  return { pictures: found, rows, confusion: ConfusionMatrix.of(space.classes, verdicts) };
};
