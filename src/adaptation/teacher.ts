// Judging without labels: two models held against the FP32 model they come from, on pictures that none was tuned on.
import { countFound } from '../detector/index.js';
import { type Interval, pairedBootstrap, PREDICT_DEFAULTS, readPicture } from '../evaluation/index.js';
import type { Artifact } from '../registry/index.js';
import { withSession } from '../runtime/index.js';
import { type Detection, Pipeline } from '../vision/index.js';
import { countNamed } from './naming.js';

export interface Agreement {
  readonly frames: number;
  /** Objects that the teacher is sure of. */
  readonly objects: number;
  /** Of what teacher and model are sure of, the share that the other one finds, too. */
  readonly before: number;
  readonly after: number;
  /** `after - before`, with a 95 % interval over frames. */
  readonly change: Interval;
  /** Of the same, the share to which the other one gives the same name before all others. Absent in what was judged before there was this. */
  readonly naming?: Pick<Agreement, 'before' | 'after' | 'change'> | undefined;
}

export interface AgreementOptions {
  /** Paths of pictures. */
  readonly frames: readonly string[];
  readonly signal?: AbortSignal;
  /** Frames done, of all three models together. */
  readonly onProgress?: (done: number, all: number) => void;
}

/** Of one frame, of two models in both directions. */
interface Counts {
  readonly found: number;
  readonly confident: number;
  readonly same: number;
  readonly sure: number;
}

const seenBy = (
  artifact: Artifact,
  frames: readonly string[],
  seen: (done: number) => void,
  signal: AbortSignal | undefined,
): Promise<(readonly Detection[])[]> =>
  withSession(artifact.modelPath, { threads: PREDICT_DEFAULTS.threads }, async (session) => {
    const { score, iou, maxDetections } = PREDICT_DEFAULTS;
    const pipeline = new Pipeline(session, artifact.manifest.detector, {
      scoreThreshold: score,
      iouThreshold: iou,
      maxDetections,
    });
    const found: (readonly Detection[])[] = [];
    for (const path of frames) {
      signal?.throwIfAborted();
      found.push((await pipeline.detect(await readPicture(path))).detections);
      seen(found.length);
    }
    return found;
  });

/**
 * How far two models say what the teacher says. Blocks the thread while they run.
 *
 * @throws BitlaneError `BAD_MODEL` when one cannot be served, `BAD_DATASET` when a picture cannot be read, the reason of `signal`
 */
export const teacherAgreement = async (
  teacher: Artifact,
  before: Artifact,
  after: Artifact,
  { frames, signal, onProgress = () => undefined }: AgreementOptions,
): Promise<Agreement> => {
  const models = [teacher, before, after];
  const all = models.length * frames.length;
  onProgress(0, all);
  const [truth = [], first = [], second = []] = await models.reduce(
    async (earlier, model, index) => [
      ...(await earlier),
      await seenBy(model, frames, (done) => onProgress(index * frames.length + done, all), signal),
    ],
    Promise.resolve<(readonly Detection[])[][]>([]),
  );
  const countsOf = (model: Artifact, seen: readonly (readonly Detection[])[]): Counts[] =>
    truth.map((wanted, frame) => {
      const own = seen[frame] ?? [];
      const [a, b] = [teacher.manifest.detector.classes, model.manifest.detector.classes];
      const there = countFound(wanted, own, { serving: a, candidate: b });
      const back = countFound(own, wanted, { serving: b, candidate: a });
      const named = countNamed(wanted, own, { one: a, other: b });
      const namedBack = countNamed(own, wanted, { one: b, other: a });
      return {
        found: there.found + back.found,
        confident: there.confident + back.confident,
        same: named.same + namedBack.same,
        sure: named.sure + namedBack.sure,
      };
    });
  const [old, young] = [countsOf(before, first), countsOf(after, second)];
  const compared = (part: keyof Counts, whole: keyof Counts) => {
    const share = (counts: readonly Counts[], weights?: Int32Array): number => {
      let [some, all] = [0, 0];
      for (const [frame, each] of counts.entries()) {
        const weight = weights?.[frame] ?? 1;
        some += weight * each[part];
        all += weight * each[whole];
      }
      return all === 0 ? Number.NaN : some / all;
    };
    return {
      before: share(old),
      after: share(young),
      change: pairedBootstrap(
        frames.length,
        (weights) => share(old, weights),
        (weights) => share(young, weights),
      ),
    };
  };
  const { classes } = teacher.manifest.detector;
  const objects = truth.reduce(
    (sum, wanted) => sum + countFound(wanted, [], { serving: classes, candidate: classes }).confident,
    0,
  );
  return {
    frames: frames.length,
    objects,
    ...compared('found', 'confident'),
    naming: compared('same', 'sure'),
  };
};
