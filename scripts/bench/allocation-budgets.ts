// Random budgets that can be met, and whether the artifacts that are made for them meet them.
import { readFileSync } from 'node:fs';
import { BitlaneError } from '../../src/errors.js';
import {
  buildArtifact,
  leastUsage,
  meetBudget,
  type Problem,
  problemOf,
  solveLayers,
} from '../../src/allocation/index.js';
import { quantile } from '../../src/evaluation/index.js';
import { writeModel } from '../../src/onnx/index.js';
import {
  type Allocation,
  componentsOf,
  type FeedSource,
  findRegions,
  latencyRatio,
  measureRanges,
  prepareModel,
  quantizeModel,
  type Range,
  timeBytes,
  uniformAllocation,
} from '../../src/quantization/index.js';
import type { Tensors } from '../../src/runtime/index.js';
import {
  type AllocationBench,
  type AllocationPart,
  needed,
  randomDamage,
  randomNumbers,
} from './allocation-lib.js';
import { census, medianFigure } from './lib.js';
import type { QuantizeBench } from './quantize-lib.js';

/** Pictures for ranges and rounding: the file is as large, and runs as long, with any. */
const PICTURES = 2;
/** Runs of each model while an allocation is looked for, and those that are reported. */
const ROUNDS = { search: 100, report: 100 };
/** The original's 95th percentile over its median on a machine that is quiet, and how often to wait for that. */
const QUIET = 1.08;
const ATTEMPTS = 3;
/** What a measured time may be above the budget: other processes run, too. */
const TOLERANCE = 0.05;
/** What no plan was seen to take less than, the profile may be off by this: nearer to it a budget may be none that can be met. */
const PROFILE_ERROR = 0.05;
const SOLVER = { gap: 1e-2, seconds: 10 };

interface Drawn {
  readonly modelBytes: number;
  readonly latencyMs: number;
}

interface Result {
  readonly budget: Drawn;
  readonly bytes: number;
  /** 95th percentile of a run, over that of the original in turns, in the profile's milliseconds; and the median. */
  readonly p95Ms: number;
  readonly medianMs: number;
  readonly predictedMs: number;
  readonly rounds: number;
}

/** Budgets that can be met by the models: bytes anywhere, then time anywhere from the least with those bytes. */
const drawBudgets = async (
  problem: Problem,
  { count, store }: AllocationBench,
  key: unknown,
): Promise<Drawn[]> => {
  const random = randomNumbers(11);
  const shares = Array.from({ length: count }, () => [random(), random()] as const);
  const { least, most, slowest } = await store.kept('budget-ends', key, async () => ({
    least: (await leastUsage(problem, 'modelBytes', {}, SOLVER)) ?? 0,
    most: problem.bytes.weights.reduce((sum, each) => sum + each[8], problem.bytes.constant),
    slowest: (await solveLayers(problem, {}, SOLVER))?.usage.latencyMs ?? 0,
  }));
  const budgets: Drawn[] = [];
  for (const [bytes, time] of shares) {
    const modelBytes = Math.round(least * (1.03 + bytes * (most / least - 1.03)));
    const fastest = await store.kept(
      'budget-fastest',
      [key, modelBytes],
      async () => (await leastUsage(problem, 'latencyMs', { modelBytes }, SOLVER)) ?? slowest,
    );
    const safe = fastest * (1 + PROFILE_ERROR);
    budgets.push({ modelBytes, latencyMs: safe + time * Math.max(0, slowest - safe) });
  }
  return budgets;
};

/** An allocation whose artifact was measured to be within its budget. */
interface Found {
  readonly allocation: Allocation;
  readonly predictedMs: number;
  readonly rounds: number;
}

type Timer = (bytes: Uint8Array, rounds: number) => Promise<[number[], number[]]>;

/** Times a model and the original in turns. */
const timerOf = ({ parent }: QuantizeBench, threads: number): Timer => {
  const original = new Uint8Array(readFileSync(parent.modelPath));
  const { name, width, height } = parent.manifest.detector.input;
  return async (bytes, rounds) => {
    const [first = [], second = []] = await timeBytes([original, bytes], {
      input: { name, dims: [1, 3, height, width] },
      rounds,
      threads,
    });
    return [first, second];
  };
};

const findWithin = async (
  { bench }: AllocationBench,
  problem: Problem,
  { budget, fp32Ms, time }: { readonly budget: Drawn; readonly fp32Ms: number; readonly time: Timer },
  { ranges }: Calibration,
): Promise<Found | Refused> => {
  try {
    const met = await meetBudget(problem, budget, {
      ...SOLVER,
      measure: async (allocation) => {
        const bytes = await buildArtifact(bench.model, allocation, ranges);
        const [first, second] = await time(bytes, ROUNDS.search);
        return { modelBytes: bytes.length, latencyMs: latencyRatio(first, second).value * fp32Ms };
      },
    });
    const { allocation, usage, rounds } = met;
    return { allocation, predictedMs: usage.latencyMs ?? NaN, rounds: rounds.length };
  } catch (error) {
    if (error instanceof BitlaneError && error.isInputError) return { budget, refused: error.message };
    throw error;
  }
};

const measureFound = async (
  { bench }: AllocationBench,
  { allocation, ...found }: Found,
  { budget, fp32Ms, time }: { readonly budget: Drawn; readonly fp32Ms: number; readonly time: Timer },
  { feeds }: Calibration,
): Promise<Result> => {
  const bytes = await realArtifact(bench, allocation, feeds);
  const { first, second } = await leastDisturbed(() => time(bytes, ROUNDS.report));
  return {
    budget,
    ...found,
    bytes: bytes.length,
    p95Ms: (p95(second) / p95(first)) * fp32Ms,
    medianMs: latencyRatio(first, second).value * fp32Ms,
  };
};

const p95 = (times: readonly number[]): number => quantile(Float64Array.from(times).sort(), 0.95);

/** How far the original itself was from its usual time: what other processes did, whatever is measured beside it. */
const disturbanceOf = (first: readonly number[]): number =>
  p95(first) / quantile(Float64Array.from(first).sort(), 0.5);

/** Measures again where the machine was not quiet, by the original alone. */
const leastDisturbed = async (
  time: () => Promise<[number[], number[]]>,
): Promise<{ readonly first: readonly number[]; readonly second: readonly number[] }> => {
  let [first, second] = await time();
  for (let again = 1; again < ATTEMPTS && disturbanceOf(first) > QUIET; again++) {
    const [other, beside] = await time();
    if (disturbanceOf(other) < disturbanceOf(first)) [first, second] = [other, beside];
  }
  return { first, second };
};

/** A budget that no allocation met, which counts as missed. */
interface Refused {
  readonly budget: Drawn;
  readonly refused: string;
}

/** What activations are coded by, whatever the allocation. */
interface Calibration {
  readonly feeds: FeedSource;
  readonly ranges: ReadonlyMap<string, Range>;
}

const calibrate = async ({ model, feeds }: QuantizeBench): Promise<Calibration> => {
  const few: Tensors[] = [];
  for await (const feed of feeds()) {
    few.push(feed);
    if (few.length === PICTURES) break;
  }
  const prepared = prepareModel(model);
  const { coded } = findRegions(prepared, uniformAllocation(componentsOf(prepared), 8, 'int8'));
  const names = coded.map(({ name }) => name);
  return { feeds: () => few, ranges: await measureRanges(prepared, names, () => few) };
};

/** As `bitlane quantize --bits` makes it, on few pictures. */
const realArtifact = async (
  { model }: QuantizeBench,
  allocation: Allocation,
  feeds: FeedSource,
): Promise<Uint8Array> => {
  const isLow = Object.values(allocation.components).some(({ bits }) => typeof bits === 'number' && bits < 8);
  const made = await quantizeModel(model, {
    allocation,
    feeds,
    rounding: isLow ? 'gptq' : 'nearest',
    sweeps: 1,
  });
  return writeModel(made.model);
};

export const budgetFigures: AllocationPart = async (given) => {
  const { bench, map, store } = given;
  const profile = needed(given.profile, '--profile', 'bitlane profile');
  const base = await problemOf(bench.model, {
    objective: map === undefined ? 'uniform' : 'semantic',
    map,
    profile,
  });
  const problem = map === undefined ? { ...base, damage: randomDamage(base.components, 7) } : base;
  const key = [bench.parent.id, profile.measuredAt, map?.data.fingerprint ?? null];
  const budgets = await drawBudgets(problem, given, key);
  const { threads, uniform } = profile;
  const [fp32Ms, time] = [uniform.fp32Ms, timerOf(bench, threads)];
  let calibration: Calibration | undefined;
  const calibrated = async (): Promise<Calibration> => (calibration ??= await calibrate(bench));
  const say = (what: string, count: number, said: unknown): void => {
    process.stderr.write(`${what} ${count} of ${budgets.length}: ${JSON.stringify(said)}\n`);
  };
  // What takes long but need not be quiet comes first: another run can go on from there.
  const found: { readonly budget: Drawn; readonly found: Found | Refused }[] = [];
  for (const budget of budgets) {
    const within = await store.kept('budget-found', [key, budget], async () =>
      findWithin(given, problem, { budget, fp32Ms, time }, await calibrated()),
    );
    found.push({ budget, found: within });
    say('found', found.length, 'refused' in within ? within : { budget, rounds: within.rounds });
  }
  const outcomes: (Result | Refused)[] = [];
  for (const { budget, found: within } of found) {
    if (given.isSearchOnly) break;
    outcomes.push(
      'refused' in within
        ? within
        : await store.kept('budget-met', [key, budget], async () =>
            measureFound(given, within, { budget, fp32Ms, time }, await calibrated()),
          ),
    );
    say('measured', outcomes.length, outcomes.at(-1));
  }
  const results = outcomes.filter((outcome) => 'bytes' in outcome);
  const small = results.filter(({ bytes, budget }) => bytes <= budget.modelBytes);
  const fast = results.filter(({ p95Ms, budget }) => p95Ms <= budget.latencyMs * (1 + TOLERANCE));
  const refused = found.filter((each) => 'refused' in each.found).length;
  if (given.isSearchOnly) return [census('budgets.refused', 'budgets', refused, found.length)];
  return [
    census('budgets.refused', 'budgets', refused, found.length),
    census('budgets.met', 'budgets', small.filter((each) => fast.includes(each)).length, outcomes.length),
    census(
      'budgets.metByMedian',
      'budgets',
      small.filter(({ medianMs, budget }) => medianMs <= budget.latencyMs * (1 + TOLERANCE)).length,
      outcomes.length,
    ),
    census('budgets.bytesMet', 'budgets', small.length, outcomes.length),
    census('budgets.latencyMet', 'budgets', fast.length, outcomes.length),
    medianFigure(
      'budgets.bytesUsed',
      'ratio',
      results.map(({ bytes, budget }) => bytes / budget.modelBytes),
    ),
    medianFigure(
      'budgets.latencyOverBudget',
      'ratio',
      results.map(({ medianMs, budget }) => medianMs / budget.latencyMs),
    ),
    medianFigure(
      'budgets.latencyOverPrediction',
      'ratio',
      results.map(({ medianMs, predictedMs }) => medianMs / predictedMs),
    ),
    medianFigure(
      'budgets.rounds',
      'rounds',
      results.map(({ rounds }) => rounds),
    ),
  ];
};
