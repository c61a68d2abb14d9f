// What the benchmarks share: figures with their uncertainty, one document or one table, where the data is.
import { existsSync } from 'node:fs';
import { parseArgs, type ParseArgsConfig } from 'node:util';
import { BitlaneError, messageOf } from '../../src/errors.js';
import { describeDevice, medianInterval } from '../../src/evaluation/index.js';
import { runBounded } from '../../src/system/index.js';
import { sharedData } from '../test-data.js';

/** One measured figure with its 95 % interval. */
export interface Figure {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  readonly low: number;
  readonly high: number;
  readonly runs: number;
}

export interface BenchReport {
  readonly bench: string;
  readonly model: unknown;
  readonly data: unknown;
  readonly figures: readonly Figure[];
}

/**
 * The median of one value per run, with the interval of that median over resampled runs. For a comparison give the ratio of
 * each pair: both sides of a pair saw the same moment of a noisy machine.
 */
export const medianFigure = (name: string, unit: string, values: readonly number[]): Figure => ({
  name,
  unit,
  ...medianInterval(values),
  runs: values.length,
});

const three = (value: number): string => value.toFixed(3);

const table = ({ bench, figures }: BenchReport): string => {
  const device = describeDevice();
  const rows = [
    ['figure', 'value', 'unit', '95 % interval', 'runs'],
    ...figures.map(({ name, value, unit, low, high, runs }) => [
      name,
      three(value),
      unit,
      `${three(low)} to ${three(high)}`,
      String(runs),
    ]),
  ];
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0))) ?? [];
  const lines = rows.map((row) => row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  '));
  return [`${bench} on ${device.cpu}, ${device.cores} cores, ${device.os}`, ...lines].join('\n');
};

/** Prints a report: with `json` as one document, else as a table. */
export const printReport = (report: BenchReport, json: boolean): void => {
  const { bench, model, data, figures } = report;
  const text = json
    ? JSON.stringify({ bench, device: describeDevice(), model, data, figures }, null, 2)
    : table(report);
  process.stdout.write(`${text}\n`);
};

/**
 * Binds the main thread of a process to a core; its other threads stay free. Cores of one machine differ (virtual ones share real
 * ones with strangers), and what is compared must not be where it happened to run. False where the system does not let us.
 */
export const pinMainThread = async (pid: number | undefined, core: number): Promise<boolean> => {
  if (pid === undefined) return false;
  const { outcome, code } = await runBounded('taskset', ['-c', '-p', String(core), String(pid)], {
    deadlineMs: 5_000,
  });
  return outcome === 'exit' && code === 0;
};

/** Runs a benchmark: exit code 0 when it could measure, 2 on bad input, 1 on any other failure, with one sentence. */
export const runBench = async (work: () => Promise<void>): Promise<void> => {
  try {
    await work();
  } catch (error) {
    process.stderr.write(`${messageOf(error)}\n`);
    process.exitCode = error instanceof BitlaneError && error.isInputError ? 2 : 1;
  }
};

/** `given`, or `name` in the folder of test data. Throws `BAD_USAGE` where neither is there. */
export const dataPath = (given: string | undefined, option: string, ...name: string[]): string => {
  const found = given === undefined ? sharedData(...name) : existsSync(given) ? given : undefined;
  if (found !== undefined) return found;
  throw new BitlaneError(
    'BAD_USAGE',
    `${given ?? name.join('/')} is missing: name it with ${option}, or set BITLANE_TEST_DATA to the folder of test data`,
  );
};

/** The option as a whole number from 1. Throws `BAD_USAGE`. */
export const countOption = (value: string, option: string): number => {
  const count = Number(value);
  if (Number.isInteger(count) && count >= 1) return count;
  throw new BitlaneError('BAD_USAGE', `${option} must be a whole number from 1, not ${value}`);
};

/** A figure that is counted over everything that happened, not sampled: its interval is the value itself. */
export const census = (name: string, unit: string, value: number, runs: number): Figure => ({
  name,
  unit,
  value,
  low: value,
  high: value,
  runs,
});

/** The command line's options; a wrong one ends the benchmark with one sentence and exit code 2. */
export const readOptions = <T extends NonNullable<ParseArgsConfig['options']>>(
  options: T,
): ReturnType<typeof parseArgs<{ options: T }>>['values'] => {
  try {
    return parseArgs({ options }).values;
  } catch (error) {
    const known = Object.keys(options).map((name) => `--${name}`);
    process.stderr.write(`${messageOf(error)}; known are ${known.join(', ')}\n`);
    return process.exit(2);
  }
};
