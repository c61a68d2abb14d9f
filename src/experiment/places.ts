// Judged pictures by their places: many of one place say less than as many places.
import { BitlaneError } from '../errors.js';
import { type DataSet, placesOf } from '../evaluation/index.js';
import type { Setting } from './setting.js';

export const namesOf = ({ images }: DataSet): string[] =>
  images.map(({ path }) => path.split('/').at(-1) ?? '');

/** Fewer places than this say nothing of others. */
const FEWEST_PLACES = 10;

/**
 * The place of each judged picture; undefined where they count one by one.
 * @throws BitlaneError `BAD_USAGE` for a separator that no name has, and for too few places
 */
export const judgedPlaces = ({ validation, placeSeparator }: Setting): Int32Array | undefined => {
  if (placeSeparator === undefined) return undefined;
  const names = namesOf(validation);
  const quoted = JSON.stringify(placeSeparator);
  if (placeSeparator === '' || !names.some((name) => name.includes(placeSeparator))) {
    throw new BitlaneError(
      'BAD_USAGE',
      `no judged picture has the separator of places ${quoted} in its name (${names[0] ?? 'none'} is the first)`,
    );
  }
  const places = placesOf(names, placeSeparator);
  const { size } = new Set(places);
  if (size >= FEWEST_PLACES) return places;
  throw new BitlaneError(
    'BAD_USAGE',
    `the names of the judged pictures make ${size} places by ${quoted}, and intervals over places need at least ${FEWEST_PLACES}: judge on more pictures, or leave the separator out`,
  );
};
