// Whether a candidate may be offered to the detector: by labels where there are enough, else by the teacher's word.
import type { Interval } from '../evaluation/index.js';
import type { Evidence } from './documents.js';

export interface AcceptanceRules {
  /** Labelled pictures, or frames, below which nothing is decided. */
  readonly minPictures: number;
  /** Objects of critical classes (labels), or objects that the teacher is sure of, below which nothing is decided. */
  readonly minObjects: number;
  /** Largest loss of mAP50, or of agreement with the teacher. */
  readonly maxDrop: number;
}

export interface Verdict {
  readonly accepted: boolean;
  /** One plain sentence. */
  readonly reason: string;
}

const three = (value: number): string => value.toFixed(3);
const change = ({ value, low, high }: Interval): string =>
  `${value >= 0 ? '+' : ''}${three(value)} (${three(low)} to ${three(high)})`;

/** Lost by more than is allowed; a change that cannot be told is one too many. */
const isWorse = ({ value }: Interval, most: number): boolean => !(value >= -most);

const no = (reason: string): Verdict => ({ accepted: false, reason });

/** The word on a candidate. */
export const judge = (evidence: Evidence, { minPictures, minObjects, maxDrop }: AcceptanceRules): Verdict => {
  if (evidence.kind === 'teacher') {
    const { frames, objects, change: difference } = evidence.agreement;
    if (frames < minPictures || objects < minObjects) {
      return no(
        `there is not enough to judge by: ${frames} frames with ${objects} objects that the teacher is sure of, of ${minPictures} and ${minObjects}`,
      );
    }
    const words = `agreement with the FP32 model ${change(difference)} on ${frames} frames`;
    return isWorse(difference, maxDrop)
      ? no(`the candidate says less of what the FP32 model says: ${words}`)
      : { accepted: true, reason: words };
  }
  const { pictures, before, after, map50Change, criticalChange } = evidence.comparison;
  if (pictures < minPictures || before.criticalObjects < minObjects) {
    return no(
      `there is not enough to judge by: ${pictures} labelled pictures with ${before.criticalObjects} critical objects, of ${minPictures} and ${minObjects}`,
    );
  }
  const words = `mAP50 ${change(map50Change)}, critical accuracy ${change(criticalChange)} on ${pictures} pictures`;
  if (isWorse(map50Change, maxDrop)) return no(`the candidate finds less: ${words}`);
  // A model that finds nothing has no critical accuracy at all.
  if (Number.isNaN(after.criticalAccuracy) || criticalChange.high < 0) {
    return no(`the candidate tells the critical classes apart worse: ${words}`);
  }
  return { accepted: true, reason: words };
};
