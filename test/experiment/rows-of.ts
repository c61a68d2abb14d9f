// Rows of an experiment, made up.
import type { ExperimentResult, MeasuredRow, ResultRow } from '../../src/experiment/index.js';

/** A run with the same value and rounds in every figure. */
export const run = (value: number, rounds: readonly number[]): MeasuredRow => {
  const figure = { value, rounds: [...rounds] };
  return {
    status: 'measured',
    figures: { map50: figure, map5095: figure, criticalAccuracy: figure, nearConfusion: figure },
    criticalObjects: 10,
    confusion: { classes: ['a', 'b'], counts: [] },
    modelBytes: 1000,
    averageBits: 4,
    latencyRatio: { value: 1, low: 1, high: 1 },
    memoryMb: null,
    searchPasses: null,
    trainedPictures: 0,
    seconds: 1,
    allocation: null,
  };
};

/** A row with seeds from 1. */
export const row = (id: string, runs: readonly MeasuredRow[]): ResultRow => ({
  id,
  family: 'mixed',
  label: id,
  runs: runs.map((result, i) => ({ seed: i + 1, result })),
});

export const resultOf = (rows: readonly ResultRow[]): ExperimentResult => ({
  format: 'bitlane-experiment',
  version: 1,
  model: { id: 'x', name: 'x', modelBytes: 1 },
  data: { tuning: { name: 'a', pictures: 1 }, validation: { name: 'b', pictures: 1 } },
  pairs: [],
  execution: 'fp32',
  scale: {},
  device: 'test',
  budget: { modelBytes: 1 },
  rows: [...rows],
});
