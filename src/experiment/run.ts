// Runs the rows, one after the other, and keeps each: an experiment that was ended goes on with the row it was at.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Checkpoints } from '../adaptation/index.js';
import { detectorMemory } from '../detector/index.js';
import { BitlaneError } from '../errors.js';
import { type DataSet, describeDevice, placesOf } from '../evaluation/index.js';
import { readModel } from '../onnx/index.js';
import { componentsOf, latencyRatio, prepareModel, timeBytes } from '../quantization/index.js';
import type { SignificanceMap } from '../significance/index.js';
import { median, writeFileAtomic } from '../system/index.js';
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

/** Where the models of rows are kept: one of them may be what somebody wants to run. */
const MODELS = 'models';

/** What a folder's results were measured with; a folder is of one setting. */
const SETTING_FILE = 'setting.json';

/** @throws BitlaneError `BAD_USAGE` where the folder holds an experiment with something else */
const claimFolder = (folder: string, key: unknown): void => {
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

const namesOf = ({ images }: DataSet): string[] => images.map(({ path }) => path.split('/').at(-1) ?? '');

/** Fewer places than this say nothing of others. */
const FEWEST_PLACES = 10;

/**
 * The place of each judged picture; undefined where they count one by one.
 * @throws BitlaneError `BAD_USAGE` for a separator that no name has, and for too few places
 */
const judgedPlaces = ({ validation, placeSeparator }: Setting): Int32Array | undefined => {
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

const measure = async (
  setting: Setting,
  searches: Searches,
  row: Row,
  seed: number,
  onStep: (step: string, done: number, all: number) => void,
): Promise<RowResult> => {
  const { parent, validation, map, pairs, scale, threads, signal } = setting;
  const places = judgedPlaces(setting);
  const since = performance.now();
  const built = await buildRow(setting, searches, row, seed, (done, all) => onStep('training', done, all));
  if (row.bits !== undefined) {
    const models = join(setting.folder, MODELS);
    mkdirSync(models, { recursive: true });
    writeFileAtomic(join(models, `${row.id}-${seed}.onnx`), built.bytes);
  }
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
    ...judgedOf(evaluation, validation.images.length, pairs, {
      rounds: scale.rounds,
      ...(places !== undefined && { places }),
    }),
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

/** @throws BitlaneError `BAD_MODEL` for a model that is quantized already */
const checkFloats = ({ parent }: Setting): void => {
  if (componentsOf(prepareModel(readModel(parent.modelPath))).length > 0) return;
  throw new BitlaneError(
    'BAD_MODEL',
    `${parent.manifest.name} has no layer with constant FP32 weights: an experiment begins with an FP32 model (of a quantized one, the parent)`,
  );
};

/** All that results depend on. */
const keyOf = (setting: Setting): unknown => {
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

/**
 * Runs the experiment. Blocks the thread while models run; rows that were measured before are taken as they are.
 *
 * @throws BitlaneError `BAD_MODEL`, `BAD_DATASET`, `BAD_USAGE` (a row that there is not, a folder of another experiment), the reason of the setting's `signal`
 */
export const runExperiment = async (
  setting: Setting,
  { rows: ids, onRow, onStep = () => undefined, onKnown }: RunOptions = {},
): Promise<Experiment> => {
  const { parent, tuning, validation, map, pairs, scale, folder, signal } = setting;
  const chosen = chosenRows(ids);
  checkFloats(setting);
  const places = judgedPlaces(setting);
  const key = keyOf(setting);
  claimFolder(folder, key);
  const kept = new Checkpoints(join(folder, 'steps'), key);
  const searches = new Searches(setting, kept, onStep);
  const { modelBytes = 0 } = await searches.budget();
  const runs = chosen.flatMap((row) =>
    (row.isRandom ? scale.seeds : scale.seeds.slice(0, 1)).map((seed) => ({ row, seed })),
  );
  const stepOf = (row: Row, seed: number): string => `row-${row.id}-${seed}`;
  /** Of all rows, whether they were asked for this time or before. */
  const results = (): ExperimentResult['rows'] =>
    ROWS.flatMap((row) => {
      const own = (row.isRandom ? scale.seeds : scale.seeds.slice(0, 1)).flatMap((seed) => {
        const result = kept.kept(stepOf(row, seed), rowResultSchema);
        return result === undefined ? [] : [{ seed, result }];
      });
      return own.length === 0 ? [] : [{ id: row.id, family: row.family, label: row.label, runs: own }];
    });
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
      validation: {
        name: `${validation.name}, ${validation.split}`,
        pictures: validation.images.length,
        ...(places !== undefined && { places: new Set(places).size }),
      },
    },
    pairs: pairs.map(classNames),
    execution: setting.execution,
    scale: { ...scale },
    device: describeDevice().name,
    budget: { modelBytes },
    rows: results(),
  });
  const known = (): Experiment => ({ result: resultOf(), map: searches.knownMap });
  for (const [done, { row, seed }] of runs.entries()) {
    signal?.throwIfAborted();
    onRow?.(row, seed, done, runs.length);
    await kept.once(stepOf(row, seed), rowResultSchema, () =>
      measureOrSay(setting, searches, row, seed, onStep),
    );
    onKnown?.(known());
  }
  return known();
};
