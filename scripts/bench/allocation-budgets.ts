// Random budgets that can be met, and whether the artifacts that are made for them meet them.
import { readFileSync } from 'node:fs';
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
const ROUNDS = { search: 50, report: 150 };
/** What a measured time may be above the budget: other processes run, too. */
const TOLERANCE = 0.05;
const SOLVER = { gap: 1e-3, seconds: 10 };

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
    const latencyMs = fastest * (1 + (0.02 + 0.98 * time) * Math.max(0, slowest / fastest - 1));
    budgets.push({ modelBytes, latencyMs });
  }
  return budgets;
};

const measureBudget = async (
  { bench, profile: given }: AllocationBench,
  problem: Problem,
  budget: Drawn,
  { feeds, ranges }: Calibration,
): Promise<Result> => {
  const profile = needed(given, '--profile', 'bitlane profile');
  const original = new Uint8Array(readFileSync(bench.parent.modelPath));
  const { name, width, height } = bench.parent.manifest.detector.input;
  const time = async (bytes: Uint8Array, rounds: number): Promise<[number[], number[]]> => {
    const [first = [], second = []] = await timeBytes([original, bytes], {
      input: { name, dims: [1, 3, height, width] },
      rounds,
      threads: profile.threads,
    });
    return [first, second];
  };
  const met = await meetBudget(problem, budget, {
    ...SOLVER,
    measure: async (allocation) => {
      const bytes = await buildArtifact(bench.model, allocation, ranges);
      const [first, second] = await time(bytes, ROUNDS.search);
      return {
        modelBytes: bytes.length,
        latencyMs: latencyRatio(first, second).low * profile.uniform.fp32Ms,
      };
    },
  });
  const bytes = await realArtifact(bench, met.allocation, feeds);
  const [first, second] = await time(bytes, ROUNDS.report);
  const p95 = (times: number[]): number => quantile(Float64Array.from(times).sort(), 0.95);
  return {
    budget,
    bytes: bytes.length,
    p95Ms: (p95(second) / p95(first)) * profile.uniform.fp32Ms,
    medianMs: latencyRatio(first, second).value * profile.uniform.fp32Ms,
    predictedMs: met.usage.latencyMs ?? NaN,
    rounds: met.rounds.length,
  };
};

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
  let calibration: Calibration | undefined;
  const results: Result[] = [];
  for (const budget of budgets) {
    const measure = async (): Promise<Result> =>
      measureBudget(given, problem, budget, (calibration ??= await calibrate(bench)));
    const result = await store.kept('budget', [key, budget], measure);
    results.push(result);
    process.stderr.write(`${results.length} of ${budgets.length}: ${JSON.stringify(result)}\n`);
  }
  const small = results.filter(({ bytes, budget }) => bytes <= budget.modelBytes);
  const fast = results.filter(({ p95Ms, budget }) => p95Ms <= budget.latencyMs * (1 + TOLERANCE));
  return [
    census('budgets.met', 'budgets', small.filter((each) => fast.includes(each)).length, results.length),
    census('budgets.bytesMet', 'budgets', small.length, results.length),
    census('budgets.latencyMet', 'budgets', fast.length, results.length),
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
