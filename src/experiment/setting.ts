// What an experiment is made with: the model, the pictures, what is random, and how much of everything.
import type { ClassMap, DataSet } from '../evaluation/index.js';
import type { Execution } from '../quantization/index.js';
import type { Artifact } from '../registry/index.js';
import type { SourceSpec } from '../training/index.js';
import type { Places } from './places.js';

/** How much work goes into it. Equal for all rows. */
export interface Scale {
  /** Pictures that activations and rounding are fitted on. */
  readonly calibrationPictures: number;
  /** Labelled pictures that searches look at. */
  readonly searchPictures: number;
  /** Of them, those on which whole models are compared within a search by trial. */
  readonly trialPictures: number;
  /** Trials of the search by reinforcement learning. */
  readonly episodes: number;
  /** Training under fake quantization. */
  readonly steps: number;
  readonly batch: number;
  readonly learningRate: number;
  readonly weightDecay: number;
  /** Of what is random: training and the search by trial. */
  readonly seeds: readonly number[];
  /** Resamples of the bootstrap. */
  readonly rounds: number;
}

export const USUAL_SCALE: Scale = {
  calibrationPictures: 64,
  searchPictures: 250,
  trialPictures: 40,
  episodes: 150,
  steps: 150,
  batch: 8,
  learningRate: 1e-3,
  weightDecay: 0.01,
  seeds: [1],
  rounds: 400,
};

/** Minutes instead of hours: every part runs, and no figure says much. */
export const QUICK_SCALE: Scale = {
  ...USUAL_SCALE,
  calibrationPictures: 8,
  searchPictures: 16,
  trialPictures: 6,
  episodes: 6,
  steps: 4,
  batch: 4,
  rounds: 100,
};

/** Two classes, by their indices in the map. */
export type ClassPair = readonly [number, number];

export interface Setting {
  /** The FP32 model that all rows are made of. */
  readonly parent: Artifact;
  /** Labelled pictures that searches and training see. */
  readonly tuning: DataSet;
  /** Labelled pictures that everything is judged on, and nothing else. */
  readonly validation: DataSet;
  /** Of `validation`: where they are there, intervals are over resampled places. */
  readonly places?: Places;
  /** How both data sets' classes meet the model's. */
  readonly map: ClassMap;
  /** `tuning` for a training run. */
  readonly learn: SourceSpec;
  /** Critical pairs. */
  readonly pairs: readonly ClassPair[];
  /** What the kernels of mixed and trained rows compute in. */
  readonly execution: Execution;
  /** 7-bit codes for 8-bit weights. */
  readonly reduceRange: boolean;
  readonly scale: Scale;
  /** Where everything is kept: an experiment that was ended goes on there. */
  readonly folder: string;
  readonly processes: number;
  readonly threads: number;
  readonly signal?: AbortSignal;
}
