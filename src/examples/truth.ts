// What an example really shows: by the operator's word, or by presumption where that is asked for.
import type { Box } from '../vision/index.js';
import type { ClassName, Example, Source } from './types.js';

/** The name of no vehicle, in data sets that have one for it. */
export const NO_VEHICLE = 'no vehicle';

export interface Truth {
  /** `null`: no vehicle. */
  readonly className: ClassName | null;
  /** Pixels of the picture. */
  readonly box: Box;
  readonly source: Source;
}

/** The truth of an example by the first of these sources that has a word: an operator's before any presumption. */
export const truthOf = (
  { label, presumed, object }: Example,
  sources: readonly Source[],
): Truth | undefined => {
  const { x1, y1, x2, y2 } = object;
  const box = { x1, y1, x2, y2 };
  if (label !== null && sources.includes('operator')) {
    return { className: label.className, box: label.box ?? box, source: 'operator' };
  }
  if (label === null && presumed !== null && sources.includes(presumed.source)) {
    return { className: presumed.className, box, source: presumed.source };
  }
  return undefined;
};
