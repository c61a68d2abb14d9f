// The additive model of a plan's time: what each node takes in its precision, and what every change of precision costs.
import type { Model } from '../onnx/index.js';
import type { Allocation } from '../quantization/index.js';
import { median } from '../system/index.js';
import { type Coefficient, fitCoefficients } from './fit.js';
import { type Region, structureOf } from './network.js';
import { rankCorrelation } from './statistics.js';

/** Milliseconds of every node by its name, in each precision. */
export interface NodeTimes {
  readonly fp32: Readonly<Record<string, number>>;
  readonly int8: Readonly<Record<string, number>>;
}

/** What a network's cost model is made over. */
export interface CostBasis {
  /** From `prepareModel`, every node with a name. */
  readonly model: Model;
  /** The same with its slices folded, where that is done. */
  readonly folded: { readonly model: Model; readonly components: ReadonlySet<string> } | undefined;
  readonly regions: readonly Region[];
  readonly times: NodeTimes;
  /** Of the folded model, all in fp32. */
  readonly foldedTimes: Readonly<Record<string, number>>;
  /** Of the reference: everything in fp32, nothing folded. */
  readonly referenceMs: number;
}

/** All that a plan's time is said by; ratios are to the reference's time. */
export interface Features {
  /** Of the nodes alone. */
  readonly nodes: number;
  /** Values quantized and dequantized, and their elements in hundred thousands. */
  readonly borders: readonly [number, number, number, number];
  /** 1 for each region that runs in int8, by multiply-accumulates where only a part does. */
  readonly regions: readonly number[];
}

const PER_ELEMENTS = 1e5;

/** True when the slices are to be folded under an allocation: integer kernels are slower so. */
export const isFolded = (folded: CostBasis['folded'], allocation: Allocation): boolean =>
  folded !== undefined &&
  [...folded.components].every((name) => allocation.components[name]?.execution === 'fp32');

export const featuresOf = (basis: CostBasis, allocation: Allocation): Features => {
  const fold = isFolded(basis.folded, allocation);
  const model = fold && basis.folded !== undefined ? basis.folded.model : basis.model;
  const fp32 = fold ? basis.foldedTimes : basis.times.fp32;
  const { int8, borders } = structureOf(model, allocation);
  let nodes = 0;
  for (const { name } of model.graph.nodes()) {
    nodes += (int8.has(name) ? basis.times.int8[name] : fp32[name]) ?? 0;
  }
  return {
    nodes: nodes / basis.referenceMs,
    borders: [borders.in, borders.inElements / PER_ELEMENTS, borders.out, borders.outElements / PER_ELEMENTS],
    regions: basis.regions.map(({ components }) => {
      let [inInt8, all] = [0, 0];
      for (const { name, macs = 1 } of components) {
        all += macs;
        if (int8.has(name)) inInt8 += macs;
      }
      return all === 0 ? 0 : inInt8 / all;
    }),
  };
};

const rowOf = ({ nodes, borders, regions }: Features): number[] => [1, nodes, ...borders, ...regions];

/** How strongly nodes are held to what their kernels took, and regions to no correction at all, an observation. */
const HOLD_NODES = 0.05;
const HOLD_REGION = 0.3;

const coefficientsOf = (regions: number, observations: number): Coefficient[] => [
  { prior: 0, weight: 0, nonNegative: false },
  { prior: 1, weight: HOLD_NODES * observations, nonNegative: true },
  ...Array.from({ length: 4 }, () => ({ prior: 0, weight: 1e-9, nonNegative: true })),
  ...Array.from({ length: regions }, () => ({
    prior: 0,
    weight: HOLD_REGION * observations,
    nonNegative: false,
  })),
];

/** A measured plan: its features, and its time over the reference's. */
export interface Observation {
  readonly features: Features;
  readonly ratio: number;
}

/** A constant, the share of the nodes' own time, four border costs, a correction a region; all over the reference's time. */
export type CostModel = readonly number[];

/** Relative errors above this count for less and less: a measurement may have gone wrong. */
const USUAL_ERROR = 0.02;
const ROBUST_ROUNDS = 4;

/** Fits relative errors (a plan twice as slow may be twice as far off), by Huber's weights. */
export const fitCost = (observations: readonly Observation[]): CostModel => {
  const regions = observations[0]?.features.regions.length ?? 0;
  const coefficients = coefficientsOf(regions, observations.length);
  let weights = observations.map(() => 1);
  let cost: CostModel = [];
  for (let round = 0; round < ROBUST_ROUNDS; round++) {
    const rows = observations.map(({ features, ratio }, i) =>
      rowOf(features).map((value) => (value / ratio) * Math.sqrt(weights[i] ?? 1)),
    );
    cost = fitCoefficients(
      rows,
      weights.map((weight) => Math.sqrt(weight)),
      coefficients,
    );
    weights = observations.map(({ features, ratio }) =>
      Math.min(1, USUAL_ERROR / Math.abs(predictRatio(cost, features) / ratio - 1)),
    );
  }
  return cost;
};

/** Time over the reference's. */
export const predictRatio = (cost: CostModel, features: Features): number =>
  rowOf(features).reduce((sum, value, i) => sum + value * (cost[i] ?? 0), 0);

export interface Accuracy {
  readonly plans: number;
  /** Relative errors. */
  readonly medianError: number;
  readonly worstError: number;
  /** Spearman's. */
  readonly rankCorrelation: number;
  readonly pairs: readonly { readonly measured: number; readonly predicted: number }[];
}

/** How far predictions are from observations that had no part in the fit. */
export const accuracyOf = (cost: CostModel, observations: readonly Observation[]): Accuracy => {
  const pairs = observations.map(({ features, ratio }) => ({
    measured: ratio,
    predicted: predictRatio(cost, features),
  }));
  const errors = pairs.map(({ measured, predicted }) => Math.abs(predicted / measured - 1));
  return {
    plans: pairs.length,
    medianError: median(errors),
    worstError: Math.max(0, ...errors),
    rankCorrelation: rankCorrelation(
      pairs.map(({ measured }) => measured),
      pairs.map(({ predicted }) => predicted),
    ),
    pairs,
  };
};
