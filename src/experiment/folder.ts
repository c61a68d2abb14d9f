// The folder of an experiment: of one setting, and where its models lie.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
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

type Key = Readonly<Record<string, unknown>>;

const NAMES: Readonly<Record<string, string>> = {
  model: 'another model',
  tuning: 'other tuning pictures',
  validation: 'other judged pictures',
  map: 'other names for classes',
  pairs: 'other pairs',
  execution: 'another precision of kernels',
  reduceRange: "another processor's integers",
  scale: 'another scale',
  places: 'other places',
};

const keySchema = z.record(z.string(), z.unknown());

/** What is not the same in two keys, in words. */
const changesOf = (own: Key, given: Key): string[] =>
  Object.entries(NAMES).flatMap(([name, text]) =>
    JSON.stringify(own[name]) === JSON.stringify(given[name]) ? [] : [text],
  );

/** @throws BitlaneError `BAD_USAGE` where the folder holds an experiment with something else */
export const claimFolder = (folder: string, key: Key): void => {
  mkdirSync(folder, { recursive: true });
  const file = join(folder, SETTING_FILE);
  const text = JSON.stringify(key);
  if (!existsSync(file)) {
    writeFileAtomic(file, text);
    return;
  }
  const own = readFileSync(file, 'utf8');
  if (own === text) return;
  const parsed = keySchema.safeParse(parseJson(own));
  const changes = parsed.success ? changesOf(parsed.data, key) : [];
  throw new BitlaneError(
    'BAD_USAGE',
    `${folder} holds an experiment with ${changes.join(', ') || 'something else'}: name a new folder, or ask as before`,
  );
};

const parseJson = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
};

/** What results depend on; pictures count by their names. */
export const keyOf = (setting: Setting): Key => {
  const { parent, tuning, validation, places, map, pairs, execution, reduceRange, scale } = setting;
  const { seeds: _seeds, ...rest } = scale;
  const digestOf = (dataSet: DataSet): string =>
    createHash('sha256').update(namesOf(dataSet).join('\n')).digest('hex');
  return {
    model: parent.id,
    tuning: digestOf(tuning),
    validation: digestOf(validation),
    map: [map.classes, map.fromModel, map.fromData],
    pairs,
    execution,
    reduceRange,
    scale: rest,
    ...(places !== undefined && { places: places.separator }),
  };
};
