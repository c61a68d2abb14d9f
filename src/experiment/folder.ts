// The folder of an experiment: of one setting, and where its models lie.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { BitlaneError } from '../errors.js';
import type { DataSet } from '../evaluation/index.js';
import { writeFileAtomic } from '../system/index.js';
import { namesOf } from './places.js';
import type { Setting } from './setting.js';

/** Where the models of rows are kept: one of them may be what somebody wants to run. */
const MODELS = 'models';

export const modelPath = ({ folder }: Setting, row: string, seed: number): string =>
  join(folder, MODELS, `${row}-${seed}.onnx`);

/** What a folder's results were measured with; a folder is of one setting. */
const SETTING_FILE = 'setting.json';

/** @throws BitlaneError `BAD_USAGE` where the folder holds an experiment with something else */
export const claimFolder = (folder: string, key: unknown): void => {
  mkdirSync(folder, { recursive: true });
  const file = join(folder, SETTING_FILE);
  const own = JSON.stringify(key);
  if (!existsSync(file)) writeFileAtomic(file, own);
  else if (readFileSync(file, 'utf8') !== own) {
    throw new BitlaneError(
      'BAD_USAGE',
      `${folder} holds an experiment with another model, other pictures, pairs, precision or scale: name a new folder`,
    );
  }
};

/** All that results depend on. */
export const keyOf = (setting: Setting): unknown => {
  const { parent, tuning, validation, placeSeparator, pairs, execution, reduceRange, scale } = setting;
  const { seeds: _seeds, ...rest } = scale;
  const digestOf = (dataSet: DataSet): string =>
    createHash('sha256').update(namesOf(dataSet).join('\n')).digest('hex');
  return {
    model: parent.id,
    tuning: digestOf(tuning),
    validation: digestOf(validation),
    pairs,
    execution,
    reduceRange,
    scale: rest,
    ...(placeSeparator !== undefined && { placeSeparator }),
  };
};
