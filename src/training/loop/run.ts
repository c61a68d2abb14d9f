// The loop: batches, steps, validation, checkpoints, until the steps are done or nothing gets better any more.
import type { BatchOptions } from '../data/batches.js';
import { Loader, type LoaderSource } from '../data/loader.js';
import { BitlaneError } from '../../errors.js';
import { type OptimizerOptions, startState } from '../step/state.js';
import { learned, Trainer } from '../step/trainer.js';
import type { Batch, StepReport, TrainingGraph } from '../types.js';
import { readCheckpoint, writeCheckpoint } from './checkpoint.js';
import type { History, ValidationPoint } from './history.js';

/** Weights and running statistics by name. */
export type Values = ReadonlyMap<string, Float32Array>;

export interface RunOptions {
  readonly graph: TrainingGraph;
  readonly optimizer: OptimizerOptions;
  /** Of the whole run. */
  readonly steps: number;
  readonly sources: readonly LoaderSource[];
  readonly batches: BatchOptions;
  /** Intra-op threads (default 1). */
  readonly threads?: number;
  /** Adds to a batch what the loss is fed besides pictures and labels: a teacher's answers. */
  readonly complete?: (batch: Batch) => Promise<Batch>;
  readonly validation?: {
    /** Steps between two. */
    readonly every: number;
    readonly judge: (values: Values) => Promise<Omit<ValidationPoint, 'step'>>;
    /** The run ends when so many in a row were no better than the best (default: it goes on to its end). */
    readonly patience?: number;
  };
  readonly checkpoint?: {
    readonly file: string;
    /** Says which run the file belongs to. */
    readonly run: string;
    /** Steps between two. */
    readonly every: number;
  };
  /** Resident memory of this process that is too much, in bytes. */
  readonly memoryCeiling?: number;
  readonly signal?: AbortSignal;
  readonly onStep?: (report: StepReport) => void;
  readonly onValidation?: (point: ValidationPoint) => void;
}

export interface RunResult {
  /** What validated best; where nothing was validated, what was learned in the end. */
  readonly values: Values;
  readonly history: History;
  /** The validation that `values` come from. */
  readonly best: ValidationPoint | undefined;
  /** The run ended before its steps were done, because nothing got better. */
  readonly stoppedEarly: boolean;
}

const copyOf = (values: Values): Values => new Map([...values].map(([name, array]) => [name, array.slice()]));

/** The first of the best. */
const bestOf = ({ validations }: History): ValidationPoint | undefined =>
  validations.reduce<ValidationPoint | undefined>(
    (best, point) => (best === undefined || point.map50 > best.map50 ? point : best),
    undefined,
  );

const hasStalled = ({ validations }: History, patience: number | undefined): boolean => {
  const best = bestOf({ validations, steps: [] });
  if (patience === undefined || best === undefined) return false;
  return validations.length - 1 - validations.indexOf(best) >= patience;
};

const checkMemory = (ceiling: number | undefined): void => {
  if (ceiling === undefined) return;
  const { rss } = process.memoryUsage();
  if (rss <= ceiling) return;
  const mb = (bytes: number): string => `${Math.round(bytes / 2 ** 20)} MB`;
  throw new BitlaneError(
    'UNSUPPORTED',
    `training holds ${mb(rss)} of memory, and may hold ${mb(ceiling)}: take fewer pictures a step`,
  );
};

/**
 * Trains. A run that was killed goes on from its checkpoint, and ends with the same weights as one that was not.
 *
 * Blocks the thread while a step computes; between steps the event loop turns.
 *
 * @throws BitlaneError `BAD_MODEL` where the loss is no number any more, `BAD_DATASET` where a picture cannot be read,
 *   `UNSUPPORTED` where more memory is needed than is allowed; the reason of `signal` when it is aborted, with a checkpoint
 *   written
 */
export const runTraining = async (options: RunOptions): Promise<RunResult> => {
  const { graph, optimizer, steps, validation, checkpoint } = options;
  const start = startState(graph, optimizer);
  const found = checkpoint === undefined ? undefined : readCheckpoint(checkpoint.file, checkpoint.run, start);
  const state = found?.state ?? start;
  const history: History = found?.history ?? { steps: [], validations: [] };
  let best = found?.best;
  const save = (): void => {
    if (checkpoint === undefined) return;
    writeCheckpoint(checkpoint.file, checkpoint.run, { state, history, best });
  };
  const validate = async (): Promise<void> => {
    if (validation === undefined) return;
    const values = learned(state);
    const point = { step: state.step, ...(await validation.judge(values)) };
    history.validations.push(point);
    if (bestOf(history) === point) best = copyOf(values);
    options.onValidation?.(point);
  };
  const isDue = (every: number): boolean => state.step % every === 0 || state.step === steps;

  const trainer = await Trainer.open(graph, { optimizer, state, threads: options.threads ?? 1 });
  const loader = new Loader(options.sources, options.batches, state.step, steps);
  try {
    while (state.step < steps && !hasStalled(history, validation?.patience)) {
      if (options.signal?.aborted === true) save();
      options.signal?.throwIfAborted();
      const batch = await loader.at(state.step);
      const { step, loss, parts, gradientNorm, learningRate } = await trainer.step(
        (await options.complete?.(batch)) ?? batch,
      );
      history.steps.push({ step, loss, parts: { ...parts }, gradientNorm, learningRate });
      options.onStep?.({ step, loss, parts, gradientNorm, learningRate });
      checkMemory(options.memoryCeiling);
      if (validation !== undefined && isDue(validation.every)) await validate();
      if (checkpoint !== undefined && isDue(checkpoint.every)) save();
    }
    save();
  } finally {
    await loader.stop();
    await trainer.release();
  }
  return {
    values: best ?? copyOf(learned(state)),
    history,
    best: bestOf(history),
    stoppedEarly: state.step < steps,
  };
};
