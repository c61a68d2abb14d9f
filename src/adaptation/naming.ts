// Whether two models give things the same names, without knowing which of the two is right.
import { type Detection, iou } from '../vision/index.js';

/** A model is sure of what it detects with this score. */
const SURE = 0.5;
/** Boxes that overlap by so much are of one thing. */
const SAME_PLACE = 0.5;

export interface Named {
  /** Things that the one model is sure of. */
  readonly sure: number;
  /** Of these, those that the other one gives the same name. */
  readonly same: number;
}

/** The surest detection at the place of another. */
const surestAt = (place: Detection, detections: readonly Detection[]): Detection | undefined => {
  let best: Detection | undefined;
  for (const each of detections) {
    if (iou(place, each) >= SAME_PLACE && (best === undefined || each.score > best.score)) best = each;
  }
  return best;
};

/**
 * Of the things that one model is sure of in a frame, how many the other one names the same: what it is surest of at that place counts,
 * however sure that is. A name that it gives there as well, with a lower score, is not what it says.
 *
 * @param one what the one model says of the frame; of several names for one thing the surest counts
 * @param other what the other one says of it
 * @param names class names of the two, by class id
 */
export const countNamed = (
  one: readonly Detection[],
  other: readonly Detection[],
  names: { readonly one: readonly string[]; readonly other: readonly string[] },
): Named => {
  const sure = one.filter((each) => each.score >= SURE && surestAt(each, one) === each);
  const same = sure.filter((each) => {
    const said = surestAt(each, other);
    return said !== undefined && names.other[said.classId] === names.one[each.classId];
  });
  return { sure: sure.length, same: same.length };
};
