// Where a job's pictures come from.
import type { Config } from '../../config/index.js';
import { BitlaneError } from '../../errors.js';
import type { Job } from '../job/job.js';
import type { ClassPair } from './triggers.js';

/** What a job looks at. */
export type Pictures = Pick<Job, 'tuning' | 'validation' | 'frames' | 'pairs'>;

/** Gives a job its pictures. */
export interface Material {
  /**
   * @param folder an empty one of the job's own, for what must be written
   * @param critical pairs that are critical by what was observed
   * @throws BitlaneError `BAD_DATASET` where there are not enough
   */
  prepare(folder: string, config: Config, critical: readonly ClassPair[]): Promise<Pictures>;
}

/** A labelled data set that lies on the device. */
export const dataSetMaterial: Material = {
  prepare: (_folder, { adaptation }, critical) => {
    const { data, pictures } = adaptation;
    if (data === undefined) {
      return Promise.reject(
        new BitlaneError(
          'BAD_DATASET',
          'there are no pictures to adapt to: name labelled ones in adaptation.data',
        ),
      );
    }
    const part = (split: Job['tuning']['split']): Job['tuning'] => ({
      path: data.path,
      split,
      most: pictures,
      labelled: true,
    });
    return Promise.resolve({
      tuning: part(data.tuning),
      validation: part(data.validation),
      ...(critical.length > 0 && { pairs: critical.map(([a, b]): [string, string] => [a, b]) }),
    });
  },
};
