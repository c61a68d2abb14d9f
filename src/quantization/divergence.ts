// How far a detector is from another one that it should be: what both see in the same pictures, no labels needed.
import { BitlaneError } from '../errors.js';
import type { DetectorSpec } from '../registry/index.js';
import { type Session, withSession } from '../runtime/index.js';
import { type Detection, iou, Pipeline } from '../vision/index.js';
import type { FeedSource } from './taps.js';

/** Detections below this score are looked at by nobody. */
const LEAST_SCORE = 0.05;
/** Boxes that overlap less are of two things. */
const SAME = 0.5;

/** What a model sees in every feed. */
const detectAll = async (
  session: Session,
  spec: DetectorSpec,
  feeds: FeedSource,
  signal?: AbortSignal,
): Promise<Detection[][]> => {
  const { name, width, height } = spec.input;
  const pipeline = new Pipeline(session, spec, {
    scoreThreshold: LEAST_SCORE,
    iouThreshold: 0.65,
    maxDetections: 100,
    labels: 'all',
  });
  const all: Detection[][] = [];
  for await (const feed of feeds()) {
    signal?.throwIfAborted();
    const tensor = feed[name];
    if (tensor?.type !== 'float32') throw new BitlaneError('INTERNAL', `a feed has no ${name}`);
    const transform = { scaleX: 1, scaleY: 1, offsetX: 0, offsetY: 0 };
    all.push((await pipeline.detectPrepared({ tensor: tensor.data, transform, width, height })).detections);
  }
  return all;
};

/** Score that two sets of detections do not share, and the score of the first. */
const apart = (wanted: readonly Detection[], found: readonly Detection[]): { cost: number; mass: number } => {
  const left = new Set(found);
  let [cost, mass] = [0, 0];
  for (const one of wanted) {
    let best: Detection | undefined;
    let overlap = SAME;
    for (const other of left) {
      const here = other.classId === one.classId ? iou(one, other) : 0;
      if (here >= overlap) [best, overlap] = [other, here];
    }
    mass += one.score;
    if (best === undefined) {
      cost += one.score;
    } else {
      left.delete(best);
      cost += Math.abs(one.score - best.score) + Math.min(one.score, best.score) * (1 - overlap);
    }
  }
  for (const { score } of left) cost += score;
  return { cost, mass };
};

/** Says how far models are from one reference; see {@link openDivergence}. */
export type Divergence = (model: Uint8Array) => Promise<number>;

/**
 * Runs the reference once, and returns what compares models with it: the share of its score that a model does not give to the same
 * class at the same place (0: sees the same; a box that overlaps by 0.9 counts a tenth of its score). Blocks the thread while
 * models run.
 *
 * @param feeds pictures as `pictureFeeds` gives them; run once for each model
 * @throws BitlaneError `BAD_MODEL` when a model is no such detector, `BAD_DATASET` when the reference sees nothing in any picture
 */
export const openDivergence = async (
  reference: Uint8Array,
  spec: DetectorSpec,
  feeds: FeedSource,
  signal?: AbortSignal,
): Promise<Divergence> => {
  const see = (model: Uint8Array): Promise<Detection[][]> =>
    withSession(model, { threads: 1 }, (session) => detectAll(session, spec, feeds, signal));
  const wanted = await see(reference);
  if (wanted.every((detections) => detections.length === 0)) {
    throw new BitlaneError(
      'BAD_DATASET',
      'the model sees nothing in any of the pictures: it cannot be compared',
    );
  }
  return async (model) => {
    const found = await see(model);
    let [cost, mass] = [0, 0];
    wanted.forEach((detections, picture) => {
      const here = apart(detections, found[picture] ?? []);
      cost += here.cost;
      mass += here.mass;
    });
    return cost / mass;
  };
};
