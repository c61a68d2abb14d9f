// The whole front: the least damage for every size of file and time of a run.
import { type Budget, type Problem } from '../solver/problem.js';
import { OutOfTime, type SolveOptions } from '../solver/program.js';
import { type Solved, leastUsage, solveLayers } from '../solver/solve.js';

export interface FrontPoint {
  readonly modelBytes: number;
  /** As the profile predicts; `undefined` without one. */
  readonly latencyMs: number | undefined;
  readonly averageBits: number;
  readonly damage: number;
  /** Distance to the bound; what is on a front need not be proved to the last digit. */
  readonly gap: number;
  /** The limits that it was found within. */
  readonly limits: { readonly modelBytes: number; readonly latencyMs: number | undefined };
}

export interface FrontOptions {
  /** Sizes of file (default 10). */
  readonly sizes?: number;
  /** Times of a run, where there is a profile (default 3). */
  readonly times?: number;
  /** See `SolveOptions.nodes`, for each point. */
  readonly nodes?: number;
  readonly signal?: AbortSignal;
  readonly onProgress?: (done: number, all: number) => void;
}

const GAP = 5e-3;
const SECONDS = 3;

/** `count` values from `low` to `high`, each by the same factor above the one before. */
const geometric = (low: number, high: number, count: number): number[] =>
  Array.from({ length: count }, (_, i) => (count === 1 ? high : low * (high / low) ** (i / (count - 1))));

const pointOf = ({ usage, damage, gap }: Solved, limits: FrontPoint['limits']): FrontPoint => ({
  modelBytes: usage.modelBytes ?? 0,
  latencyMs: usage.latencyMs,
  averageBits: usage.averageBits ?? 0,
  damage,
  gap,
  limits,
});

const isWorse = (a: FrontPoint, b: FrontPoint): boolean => {
  const [time, other] = [a.latencyMs ?? 0, b.latencyMs ?? 0];
  const isNoBetter = a.modelBytes >= b.modelBytes && time >= other && a.damage >= b.damage;
  return isNoBetter && (a.modelBytes > b.modelBytes || time > other || a.damage > b.damage);
};

/** `undefined` where there was no time for an answer, as where there is none. */
const inTime = <T>(answer: Promise<T | undefined>): Promise<T | undefined> =>
  answer.catch((error: unknown) => {
    if (error instanceof OutOfTime) return undefined;
    throw error;
  });

/**
 * Points that no other one is better than, by size of file; sizes from the smallest that is possible to that of 8 bits throughout.
 * A point that is not found in time is left out. Blocks the thread between points.
 *
 * @throws the reason of `signal`
 */
export const frontOf = async (problem: Problem, options: FrontOptions = {}): Promise<FrontPoint[]> => {
  const { sizes = 10, times = 3, nodes, signal, onProgress } = options;
  const exact: SolveOptions = { gap: GAP, seconds: SECONDS, ...(nodes !== undefined && { nodes }) };
  const { bytes } = problem;
  const least = (await inTime(leastUsage(problem, 'modelBytes', {}, exact))) ?? bytes.constant;
  const whole = bytes.weights.reduce((sum, each) => sum + each[8], bytes.constant);
  const latencies = await timesOf(problem, times, exact);
  const found: FrontPoint[] = [];
  const levels = geometric(least * (1 + 1e-9), Math.max(whole, least), sizes);
  let done = 0;
  for (const latencyMs of latencies) {
    for (const modelBytes of levels) {
      signal?.throwIfAborted();
      const solved = await inTime(solveLayers(problem, { modelBytes, latencyMs }, exact));
      if (solved !== undefined) found.push(pointOf(solved, { modelBytes, latencyMs }));
      onProgress?.(++done, levels.length * latencies.length);
    }
  }
  const unlike = found.filter(
    (point, i) =>
      found.findIndex(
        (other) =>
          other.modelBytes === point.modelBytes &&
          other.latencyMs === point.latencyMs &&
          other.damage === point.damage,
      ) === i,
  );
  return unlike
    .filter((point) => !unlike.some((other) => isWorse(point, other)))
    .sort((a, b) => a.modelBytes - b.modelBytes || (a.latencyMs ?? 0) - (b.latencyMs ?? 0));
};

/** From a little above the fastest plan to no limit at all. */
const timesOf = async (
  problem: Problem,
  times: number,
  options: SolveOptions,
): Promise<(number | undefined)[]> => {
  if (problem.latency.length === 0 || problem.execution !== 'free') return [undefined];
  const fastest = await inTime(leastUsage(problem, 'latencyMs', {}, options));
  const free = await inTime(solveLayers(problem, {} satisfies Budget, options));
  const slowest = free?.usage.latencyMs;
  if (fastest === undefined || slowest === undefined || slowest <= fastest) return [undefined];
  return Array.from({ length: times }, (_, i) =>
    i === times - 1 ? undefined : fastest + ((slowest - fastest) * (i + 0.25)) / times,
  );
};
