// What an adaptation is asked for, and what it comes to.
import type {
  Budget,
  FrontPoint,
  Interaction,
  MeasureArtifact,
  ObjectiveName,
  Profile,
} from '../allocation/index.js';
import type { ClassMap, DataSet } from '../evaluation/index.js';
import type { Component, Step, Timed } from '../quantization/index.js';
import type { Artifact } from '../registry/index.js';
import type { SignificanceMap, SignificanceOptions, SignificanceStep } from '../significance/index.js';
import type { Checkpoints } from './checkpoints.js';
import type { Allocated, Evidence, Made } from './documents.js';
import type { CandidateScore } from './portfolio.js';

/** What is being done, for a progress bar. */
export type AdaptStep =
  | SignificanceStep
  | 'measuring pairs'
  | 'solving'
  | 'comparing candidates'
  | 'drawing the front'
  | 'fine-tuning'
  | Step;

/** Pictures and how their classes meet the model's. */
export interface Labelled {
  readonly dataSet: DataSet;
  readonly map: ClassMap;
  /** False: labels are not looked at (default true). */
  readonly isLabelled?: boolean;
}

/** Pictures that a model learns from. */
export interface Lessons {
  /** A data set whose labels are true. */
  readonly labelled?: { readonly path: string; readonly split: string };
  /** In place of it: a data set in whose pictures some objects are named; of all else the FP32 model's word is the truth. */
  readonly named?: { readonly path: string; readonly split: string };
  /** A folder of pictures, on which the FP32 model's own word is the truth. */
  readonly unlabelled?: string;
}

/** How the weights of the chosen allocation are trained on. */
export interface FineTuning {
  readonly lessons: Lessons;
  readonly steps: number;
  /** Pictures in a step. */
  readonly batch: number;
  readonly learningRate: number;
  /** What the FP32 model's word counts beside labels. */
  readonly teacherWeight: number;
  /** What the class loss of the critical pairs counts. */
  readonly pairWeight: number;
  /** What the class of a named object counts beside all that the FP32 model says. */
  readonly wordWeight: number;
  /** Steps between two checkpoints: what a kill costs at most. */
  readonly checkpointEvery: number;
}

/** What a candidate is judged by; nothing is tuned on it. */
export type JudgedBy =
  | {
      readonly kind: 'labels';
      readonly validation: Labelled;
      /** Where those are too few to tell: paths of pictures, on which the FP32 model is the teacher. */
      readonly frames?: readonly string[];
    }
  | { readonly kind: 'teacher'; readonly frames: readonly string[] };

export interface AdaptOptions {
  /** Where the candidate is put, and what the steps came to. */
  readonly folder: string;
  readonly checkpoints: Checkpoints;
  /** What is looked at to find confusions and significance, and to round by. */
  readonly tuning: Labelled;
  /** What weights and ranges are fitted on (default: pictures of `tuning`). */
  readonly calibration?: DataSet;
  readonly judgedBy: JudgedBy;
  /** What the candidate is held against (default: the parent). */
  readonly baseline?: Artifact;
  /** Critical pairs by index, or what to make of those that the tuning pictures show; exactly these where it is left out. */
  readonly pairs?: NonNullable<SignificanceOptions['pairs']>;
  readonly costs?: SignificanceOptions['costs'];
  /** What the manifest says it had to stay within. */
  readonly budget: Budget;
  /** What the solver keeps to where that is not the budget: a run is not all of a frame. */
  readonly limits?: Budget;
  readonly objective: ObjectiveName;
  /**
   * Objectives whose allocations are tried, too; the whole model that does the least damage is kept (default: a few with the semantic
   * objective, else none).
   */
  readonly candidates?: readonly ObjectiveName[];
  /** Layers whose pairs are measured, the costliest first (default 0: none); with the semantic objective. */
  readonly pairsAmong?: number;
  readonly profile?: Profile;
  /** Measures the artifact of an allocation, for the budget. */
  readonly measure: MeasureArtifact;
  readonly calibrationPictures: number;
  /** Train the chosen allocation's weights on (default: they are rounded, and that is all). */
  readonly finetune?: FineTuning;
  /** Folder in which what was measured is kept: a run that was ended goes on from there. */
  readonly cache: string;
  readonly processes: number;
  readonly reduceRange: boolean;
  readonly name?: string;
  /** Does what goes by the clock: measurements, and solvers with a limit of time. */
  readonly timed?: Timed;
  readonly signal?: AbortSignal;
  readonly onProgress?: (step: AdaptStep, done: number, all: number) => void;
}

export interface Adapted {
  /** In the folder `candidate`. */
  readonly artifact: Artifact;
  readonly significance: SignificanceMap;
  readonly components: readonly Component[];
  /** What pairs of layers cost together, where that was asked for. */
  readonly interactions: readonly Interaction[];
  /** Of the allocation that was chosen. */
  readonly objective: ObjectiveName;
  /** What each candidate did as a whole. */
  readonly candidates: readonly CandidateScore[];
  readonly allocated: Allocated;
  readonly front: readonly FrontPoint[];
  readonly made: Made;
  readonly evidence: Evidence;
}
