// Which pictures a job looks at: a labelled data set that lies on the device, or the device's own hard examples.
import type { Config } from '../../config/index.js';
import type { Job } from '../job/job.js';
import type { ClassPair } from './triggers.js';

/** What a job says of its pictures. */
export type Pictures = Pick<Job, 'tuning' | 'validation' | 'examples' | 'pairs'>;

/** @param critical pairs that are critical by what was observed; what the pictures show where there are none */
export const picturesFor = (
  { stateDir, adaptation }: Pick<Config, 'stateDir' | 'adaptation'>,
  critical: readonly ClassPair[],
): Pictures => {
  const { data, pictures: most } = adaptation;
  const pairs = critical.length === 0 ? {} : { pairs: critical.map(([a, b]): [string, string] => [a, b]) };
  if (data === undefined) return { ...pairs, examples: { stateDir, most } };
  const part = (split: 'train' | 'val' | 'test'): NonNullable<Job['tuning']> => ({
    path: data.path,
    split,
    most,
    labelled: true,
  });
  return { ...pairs, tuning: part(data.tuning), validation: part(data.validation) };
};
