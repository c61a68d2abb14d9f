// Runs the rows, one after the other, and keeps each: an experiment that was ended goes on with the row it was at.
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Checkpoints } from '../adaptation/index.js';
import { detectorMemory } from '../detector/index.js';
import { BitlaneError } from '../errors.js';
import { describeDevice } from '../evaluation/index.js';
import { latencyRatio, timeBytes } from '../quantization/index.js';
import type { SignificanceMap } from '../significance/index.js';
import { median } from '../system/index.js';
import { judgedOf, judgeOn } from './judge.js';
import { type ExperimentResult, type RowResult, rowResultSchema } from './result.js';
import { buildRow } from './rows/build.js';
import { type Row, ROWS } from './rows/row.js';
import { Searches } from './rows/search.js';
import type { Setting } from './setting.js';

/** Runs of each model when times are compared. */
const TIMED = 60;

export interface RunOptions {
  /** Ids; all rows where it is left out. */
  readonly rows?: readonly string[];
  /** Called before each run of a row. */
  readonly onRow?: (row: Row, seed: number, done: number, all: number) => void;
  readonly onStep?: (step: string, done: number, all: number) => void;
  /** Called with everything that is known so far, after each row. */
  readonly onKnown?: (known: Experiment) => void;
}

export interface Experiment {
  readonly result: ExperimentResult;
  /** Where a row needed it. */
  readonly map: SignificanceMap | undefined;
}

/** @throws BitlaneError `BAD_USAGE` naming a row that there is not */
export const chosenRows = (ids: readonly string[] | undefined): Row[] => {
  if (ids === undefined) return [...ROWS];
  const unknown = ids.find((id) => !ROWS.some((row) => row.id === id));
  if (unknown !== undefined) {
    throw new BitlaneError(
      'BAD_USAGE',
      `there is no row ${JSON.stringify(unknown)}; rows are ${ROWS.map(({ id }) => id).join(', ')}`,
    );
  }
  return ROWS.filter(({ id }) => ids.includes(id));
};

const measure = async (
  setting: Setting,
  searches: Searches,
  row: Row,
  seed: number,
  onStep: (step: string, done: number, all: number) => void,
): Promise<RowResult> => {
  const { parent, validation, map, pairs, scale, threads, signal } = setting;
  const since = performance.now();
  const built = await buildRow(setting, searches, row, seed, (done, all) => onStep('training', done, all));
  onStep('judging', 0, 1);
  const { name, width, height } = parent.manifest.detector.input;
  const original = new Uint8Array(readFileSync(parent.modelPath));
  const [first = [], second = []] = await timeBytes([original, built.bytes], {
    input: { name, dims: [1, 3, height, width] },
    rounds: TIMED,
    ...(signal !== undefined && { signal }),
  });
  const evaluation = await judgeOn(parent, built.bytes, validation, map, signal, pairs);
  return {
    status: 'measured',
    ...judgedOf(evaluation, validation.images.length, pairs, scale.rounds),
    modelBytes: built.bytes.length,
    averageBits: built.averageBits,
    latencyRatio: latencyRatio(first, second),
    memoryMb: await detectorMemory(built.bytes, parent.manifest, threads),
    searchPasses:
      built.searchSeconds === null ? null : Math.round((1000 * built.searchSeconds) / median(first)),
    trainedPictures: row.training === undefined ? 0 : scale.steps * scale.batch,
    seconds: (performance.now() - since) / 1000,
    allocation: built.allocation ?? null,
  };
};

/** What a model does not allow is a result, too. */
const measureOrSay = async (...given: Parameters<typeof measure>): Promise<RowResult> => {
  try {
    return await measure(...given);
  } catch (error) {
    if (!(error instanceof BitlaneError) || error.code !== 'UNSUPPORTED') throw error;
    return { status: 'impossible', reason: error.message };
  }
};

/** All that results depend on. */
const keyOf = ({ parent, tuning, validation, pairs, execution, reduceRange, scale }: Setting): unknown => {
  const { seeds: _seeds, ...rest } = scale;
  const namesOf = (images: readonly { readonly path: string }[]): string =>
    createHash('sha256')
      .update(images.map(({ path }) => path.split('/').at(-1) ?? '').join('\n'))
      .digest('hex');
  return {
    model: parent.id,
    tuning: namesOf(tuning.images),
    validation: namesOf(validation.images),
    pairs,
    execution,
    reduceRange,
    scale: rest,
  };
};

/**
 * Runs the experiment. Blocks the thread while models run; rows that were measured before are taken as they are.
 *
 * @throws BitlaneError `BAD_MODEL`, `BAD_DATASET`, `BAD_USAGE`, the reason of the setting's `signal`
 */
export const runExperiment = async (
  setting: Setting,
  { rows: ids, onRow, onStep = () => undefined, onKnown }: RunOptions = {},
): Promise<Experiment> => {
  const { parent, tuning, validation, map, pairs, scale, folder, signal } = setting;
  mkdirSync(folder, { recursive: true });
  const kept = new Checkpoints(join(folder, 'steps'), keyOf(setting));
  const searches = new Searches(setting, kept, onStep);
  const { modelBytes = 0 } = await searches.budget();
  const runs = chosenRows(ids).flatMap((row) =>
    (row.isRandom ? scale.seeds : scale.seeds.slice(0, 1)).map((seed) => ({ row, seed })),
  );
  const results = new Map<Row, { seed: number; result: RowResult }[]>();
  const classNames = (pair: readonly [number, number]): [string, string] => [
    map.classes[pair[0]] ?? '?',
    map.classes[pair[1]] ?? '?',
  ];
  const resultOf = (): ExperimentResult => ({
    format: 'bitlane-experiment',
    version: 1,
    model: { id: parent.id, name: parent.manifest.name, modelBytes: parent.manifest.modelBytes },
    data: {
      tuning: { name: `${tuning.name}, ${tuning.split}`, pictures: tuning.images.length },
      validation: { name: `${validation.name}, ${validation.split}`, pictures: validation.images.length },
    },
    pairs: pairs.map(classNames),
    execution: setting.execution,
    scale: { ...scale },
    device: describeDevice().name,
    budget: { modelBytes },
    rows: [...results].map(([{ id, family, label }, own]) => ({ id, family, label, runs: own })),
  });
  const known = (): Experiment => ({ result: resultOf(), map: searches.knownMap });
  for (const [done, { row, seed }] of runs.entries()) {
    signal?.throwIfAborted();
    onRow?.(row, seed, done, runs.length);
    const result = await kept.once(`row-${row.id}-${seed}`, rowResultSchema, () =>
      measureOrSay(setting, searches, row, seed, onStep),
    );
    results.set(row, [...(results.get(row) ?? []), { seed, result }]);
    onKnown?.(known());
  }
  return known();
};
