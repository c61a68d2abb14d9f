// Runs a model over a data set: what it sees in every picture, and how long that takes.
import type { Artifact } from '../registry/index.js';
import { withSession } from '../runtime/index.js';
import { type Detection, nonMaxSuppression, Pipeline } from '../vision/index.js';
import { quantile } from './bootstrap.js';
import type { ClassMap } from './class-map.js';
import type { PictureResult } from './matching.js';
import { readPicture } from './pictures.js';
import type { DataSet, LabelledObject } from './types.js';

export interface PredictOptions {
  /** Intra-op threads; 1 when left out. */
  readonly threads?: number;
  /** What scores lower is left out. */
  readonly score?: number;
  /** Overlap above which the worse box of a class is suppressed. */
  readonly iou?: number;
  /** Boxes of one picture. */
  readonly maxDetections?: number;
}

/** What average precision is measured with: nearly everything the model says. */
export const PREDICT_DEFAULTS = { threads: 1, score: 0.01, iou: 0.65, maxDetections: 300 } as const;

/** Quantiles of some times, milliseconds. */
export interface Latency {
  readonly p50Ms: number;
  readonly p95Ms: number;
}

export interface Predictions {
  /** Objects and detections of every picture, in the classes of the map. */
  readonly results: readonly PictureResult[];
  /** Outputs that were looked at and are not finite numbers. */
  readonly nonFinite: number;
  readonly latency: {
    /** The model alone. */
    readonly inference: Latency;
    /** From a picture's pixels to its detections: sampling, model, head, suppression. */
    readonly whole: Latency;
    readonly samples: number;
  };
}

/** Times by picture become quantiles. */
export const latencyOf = (times: readonly number[]): Latency => {
  const sorted = Float64Array.from(times).sort();
  return { p50Ms: quantile(sorted, 0.5), p95Ms: quantile(sorted, 0.95) };
};

/** `items` in the classes of a map; those of a class that is not mapped are dropped. */
const inClasses = <T extends { readonly classId: number }>(
  items: readonly T[],
  ids: readonly number[],
): T[] =>
  items.flatMap((item) => {
    const classId = ids[item.classId] ?? -1;
    return classId < 0 ? [] : [{ ...item, classId }];
  });

/** Classes of a map that several classes of the model count as. */
const sharedClasses = ({ fromModel }: ClassMap): ReadonlySet<number> =>
  new Set(fromModel.filter((id, index) => id >= 0 && fromModel.indexOf(id) !== index));

/**
 * Labels and detections of one picture in the classes of a map. Where several classes of the model count as one, a thing that is found
 * as each of them is one detection still: the best.
 *
 * @param iou overlap above which the worse box of such a class is suppressed
 */
export const toResult = (
  objects: readonly LabelledObject[],
  detections: readonly Detection[],
  map: ClassMap,
  iou: number = PREDICT_DEFAULTS.iou,
): PictureResult => {
  const shared = sharedClasses(map);
  const mapped = inClasses(detections, map.fromModel);
  const joined = mapped.filter(({ classId }) => shared.has(classId));
  const kept = new Set(nonMaxSuppression(joined, { iouThreshold: iou, maxDetections: joined.length }));
  return {
    objects: inClasses(objects, map.fromData),
    detections: mapped.filter((each) => kept.has(each) || !shared.has(each.classId)),
  };
};

/**
 * Blocks the thread while the model runs; between pictures the event loop turns.
 * @param onProgress called after each picture with the number done
 * @throws BitlaneError `BAD_MODEL` when the model cannot be served, `BAD_DATASET` when a picture cannot be read, the reason of
 * `signal` when it is aborted
 */
export const predict = (
  artifact: Artifact,
  dataSet: DataSet,
  map: ClassMap,
  options: PredictOptions = {},
  onProgress: (done: number) => void = () => undefined,
  signal?: AbortSignal,
): Promise<Predictions> => {
  const { threads, score, iou, maxDetections } = { ...PREDICT_DEFAULTS, ...options };
  const { detector } = artifact.manifest;
  return withSession(artifact.modelPath, { threads }, async (session) => {
    const pipeline = new Pipeline(session, detector, {
      scoreThreshold: score,
      iouThreshold: iou,
      maxDetections,
      labels: 'all',
      // Classes that the data set does not have must not take the places of those it has.
      classes: detector.classes.filter((_, id) => (map.fromModel[id] ?? -1) >= 0),
    });
    const results: PictureResult[] = [];
    const [inference, whole] = [[] as number[], [] as number[]];
    let nonFinite = 0;
    for (const [index, image] of dataSet.images.entries()) {
      signal?.throwIfAborted();
      const picture = await readPicture(image.path);
      // The first run allocates: it is not what a frame costs.
      if (index === 0) await pipeline.detect(picture);
      const { objects } = await dataSet.load(index);
      const found = await pipeline.detect(picture);
      const { preprocessMs, inferenceMs, postprocessMs } = found.timings;
      inference.push(inferenceMs);
      whole.push(preprocessMs + inferenceMs + postprocessMs);
      nonFinite += found.nonFinite;
      results.push(toResult(objects, found.detections, map, iou));
      onProgress(index + 1);
    }
    return {
      results,
      nonFinite,
      latency: { inference: latencyOf(inference), whole: latencyOf(whole), samples: whole.length },
    };
  });
};
