// Runs the rows, one after the other, and keeps each: an experiment that was ended goes on with the row it was at.
import { mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Checkpoints } from '../adaptation/index.js';
import { detectorMemory } from '../detector/index.js';
import { BitlaneError } from '../errors.js';
import { describeDevice } from '../evaluation/index.js';
import { readModel } from '../onnx/index.js';
import { componentsOf, latencyRatio, prepareModel } from '../quantization/index.js';
import type { SignificanceMap } from '../significance/index.js';
import { median, writeFileAtomic } from '../system/index.js';
import { claimFolder, keyOf, modelPath } from './folder.js';
import { judgedOf, judgeOn } from './judge.js';
import { keptRows, rowStep, seedsOf, timesStep } from './kept.js';
import { type ExperimentResult, type RowResult, rowResultSchema } from './result.js';
import { buildRow } from './rows/build.js';
import { type Row, ROWS } from './rows/row.js';
import { Searches } from './rows/search.js';
import type { Setting } from './setting.js';
import { renewTimes, timesOf } from './times.js';

export interface RunOptions {
  /** Ids; all rows where it is left out. */
  readonly rows?: readonly string[];
  /** In the end, take the times of all rows whose models are there anew: those taken while the machine was busy say less. */
  readonly times?: boolean;
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
  const { parent, validation, places, map, pairs, scale, threads, signal } = setting;
  const since = performance.now();
  const built = await buildRow(setting, searches, row, seed, (done, all) => onStep('training', done, all));
  if (row.bits !== undefined || row.training !== undefined) {
    const path = modelPath(setting, row.id, seed);
    mkdirSync(dirname(path), { recursive: true });
    writeFileAtomic(path, built.bytes);
  }
  onStep('judging', 0, 1);
  const [first, second] = await timesOf(setting, built.bytes);
  const evaluation = await judgeOn(parent, built.bytes, validation, map, signal, pairs);
  return {
    status: 'measured',
    ...judgedOf(evaluation, validation.images.length, pairs, {
      rounds: scale.rounds,
      ...(places !== undefined && { places: places.numbers }),
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

/**
 * Runs the experiment. Blocks the thread while models run; rows that were measured before are taken as they are.
 *
 * @throws BitlaneError `BAD_MODEL`, `BAD_DATASET`, `BAD_USAGE` (a row that there is not, a folder of another experiment), the reason of the setting's `signal`
 */
export const runExperiment = async (
  setting: Setting,
  { rows: ids, times, onRow, onStep = () => undefined, onKnown }: RunOptions = {},
): Promise<Experiment> => {
  const { scale, folder, signal } = setting;
  const chosen = chosenRows(ids);
  checkFloats(setting);
  const key = keyOf(setting);
  claimFolder(folder, key);
  const kept = new Checkpoints(join(folder, 'steps'), key);
  const searches = new Searches(setting, kept, onStep);
  const { modelBytes = 0 } = await searches.budget();
  const known = (): Experiment => ({
    result: resultOf(setting, modelBytes, keptRows(kept)),
    map: searches.knownMap,
  });
  const runs = chosen.flatMap((row) => seedsOf(row, scale.seeds).map((seed) => ({ row, seed })));
  for (const [done, { row, seed }] of runs.entries()) {
    signal?.throwIfAborted();
    onRow?.(row, seed, done, runs.length);
    await kept.once(rowStep(row.id, seed), rowResultSchema, () => {
      // Those of the model that it was before.
      kept.forget(timesStep(row.id, seed));
      return measureOrSay(setting, searches, row, seed, onStep);
    });
    onKnown?.(known());
  }
  if (times === true) {
    await renewTimes(setting, kept, keptRows(kept), onStep);
    onKnown?.(known());
  }
  return known();
};

const resultOf = (
  { parent, tuning, validation, places, map, pairs, execution, scale }: Setting,
  modelBytes: number,
  rows: ExperimentResult['rows'],
): ExperimentResult => {
  const nameOf = (index: number): string => map.classes[index] ?? '?';
  return {
    format: 'bitlane-experiment',
    version: 1,
    model: { id: parent.id, name: parent.manifest.name, modelBytes: parent.manifest.modelBytes },
    data: {
      tuning: { name: `${tuning.name}, ${tuning.split}`, pictures: tuning.images.length },
      validation: {
        name: `${validation.name}, ${validation.split}`,
        pictures: validation.images.length,
        ...(places !== undefined && { places: new Set(places.numbers).size }),
      },
    },
    pairs: pairs.map(([a, b]) => [nameOf(a), nameOf(b)]),
    execution,
    scale: { ...scale },
    device: describeDevice().name,
    budget: { modelBytes },
    rows,
  };
};
