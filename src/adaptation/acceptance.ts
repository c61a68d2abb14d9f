// Whether a candidate may be offered to the detector: by labels where there are enough, by the teacher's word besides where they are few,
// and by that alone where there are none.
import type { Interval } from '../evaluation/index.js';
import type { Evidence } from './documents.js';
import type { Agreement } from './teacher.js';

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
const isWorse = (value: number, most: number): boolean => !(value >= -most);

/** An interval of mAP50 that is wider than this on either side says nothing by itself. */
const TOLD = 0.05;

/** Whether labels are enough to tell what a candidate is worth: else the teacher is heard, too. */
export const labelsTell = ({ low, high }: Interval): boolean => (high - low) / 2 <= TOLD;

const no = (reason: string): Verdict => ({ accepted: false, reason });

const isEnough = ({ frames, objects }: Agreement, { minPictures, minObjects }: AcceptanceRules): boolean =>
  frames >= minPictures && objects >= minObjects;

const wordsOf = ({ frames, change: difference, naming }: Agreement): string =>
  `agreement with the FP32 model ${change(difference)}${naming === undefined ? '' : `, on names ${change(naming.change)},`} on ${frames} frames`;

/** Why a candidate is none by the word of the FP32 model; `undefined` where it is one. */
const disagreement = (
  { change: difference, naming }: Agreement,
  { maxDrop }: AcceptanceRules,
  words: string,
): Verdict | undefined => {
  if (isWorse(difference.value, maxDrop)) {
    return no(`the candidate says less of what the FP32 model says: ${words}`);
  }
  // Names of some tens of things are a matter of chance: only what is lower outside of it counts.
  if (naming !== undefined && naming.change.high < 0) {
    return no(`the candidate gives other names than the FP32 model: ${words}`);
  }
  return undefined;
};

const byTeacher = (agreement: Agreement, rules: AcceptanceRules): Verdict => {
  const { frames, objects } = agreement;
  if (!isEnough(agreement, rules)) {
    return no(
      `there is not enough to judge by: ${frames} frames with ${objects} objects that the teacher is sure of, of ${rules.minPictures} and ${rules.minObjects}`,
    );
  }
  const words = wordsOf(agreement);
  return disagreement(agreement, rules, words) ?? { accepted: true, reason: words };
};

/** The word on a candidate. */
export const judge = (evidence: Evidence, rules: AcceptanceRules): Verdict => {
  if (evidence.kind === 'teacher') return byTeacher(evidence.agreement, rules);
  const { minPictures, minObjects, maxDrop } = rules;
  const { pictures, before, after, map50Change, map5095Change, criticalChange } = evidence.comparison;
  if (pictures < minPictures || before.criticalObjects < minObjects) {
    return no(
      `there is not enough to judge by: ${pictures} labelled pictures with ${before.criticalObjects} critical objects, of ${minPictures} and ${minObjects}`,
    );
  }
  const { agreement } = evidence;
  const second = agreement !== undefined && isEnough(agreement, rules) ? agreement : undefined;
  const said = `mAP50 ${change(map50Change)}, mAP50-95 ${change(map5095Change)}, critical accuracy ${change(criticalChange)} on ${pictures} pictures`;
  const words = second === undefined ? said : `${said}, ${wordsOf(second)}`;
  // Of a change that few labels cannot tell from none, only that it is surely a loss counts where somebody else can tell.
  const loss = second === undefined ? map50Change.value : map50Change.high;
  if (isWorse(loss, maxDrop)) return no(`the candidate finds less: ${words}`);
  // A model that finds nothing has no critical accuracy at all.
  if (Number.isNaN(after.criticalAccuracy) || criticalChange.high < 0) {
    return no(`the candidate tells the critical classes apart worse: ${words}`);
  }
  const doubt = second === undefined ? undefined : disagreement(second, rules, words);
  return doubt ?? { accepted: true, reason: words };
};
