// Judged pictures by their places: many of one place say less than as many places.
import { basename } from 'node:path';
import { BitlaneError } from '../errors.js';
import { type DataSet, placesOf } from '../evaluation/index.js';

/** Places of judged pictures, by what their names have in common. */
export interface Places {
  readonly separator: string;
  /** The place of each picture, numbered from 0. */
  readonly numbers: Int32Array;
}

/** File names of pictures. */
export const namesOf = ({ images }: DataSet): string[] => images.map(({ path }) => basename(path));

/** Intervals over fewer places than this are noise. */
const FEWEST_PLACES = 10;

/**
 * @param separator pictures whose names are alike up to the last one are of one place
 * @throws BitlaneError `BAD_USAGE` for a separator that a name lacks, that makes every picture a place, or that makes too few places
 */
export const judgedPlaces = (validation: DataSet, separator: string): Places => {
  const names = namesOf(validation);
  const quoted = JSON.stringify(separator);
  const refused = (why: string): BitlaneError =>
    new BitlaneError('BAD_USAGE', `${why}: name another separator of places, or leave it out`);
  const strangers = names.filter((name) => separator === '' || !name.includes(separator));
  if (strangers.length > 0) {
    throw refused(
      `${strangers.length} of ${names.length} judged pictures do not have ${quoted} in their names (${strangers[0] ?? ''} is the first)`,
    );
  }
  const numbers = placesOf(names, separator);
  const { size } = new Set(numbers);
  if (size === names.length) throw refused(`by ${quoted}, every judged picture is a place of its own`);
  if (size >= FEWEST_PLACES) return { separator, numbers };
  throw refused(
    `by ${quoted}, the judged pictures are of ${size} places, and intervals over places need at least ${FEWEST_PLACES}`,
  );
};
