// Significance maps as files, by layer or by channel.
import { z } from 'zod';
import { writeFileAtomic } from '../../system/index.js';
import { checked, jsonOf, readMap, type SignificanceMap, significanceSchema } from '../map.js';
import { type FilterMap, filterMapSchema } from './filter-map.js';

const kindSchema = z.looseObject({ granularity: z.literal('channel') });

/**
 * Reads a significance map of either granularity.
 *
 * @throws BitlaneError `BAD_CONFIG` where there is none, or it breaks the schema
 */
export const readAnySignificance = (path: string): SignificanceMap | FilterMap => {
  const value = jsonOf(readMap(path), path);
  return kindSchema.safeParse(value).success
    ? checked(filterMapSchema, value, path)
    : checked(significanceSchema, value, path);
};

/** Writes a map by filter as one step. */
export const writeFilterMap = (path: string, map: FilterMap): void =>
  writeFileAtomic(path, `${JSON.stringify(map)}\n`);
