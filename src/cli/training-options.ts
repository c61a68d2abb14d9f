// What `bitlane train` and `bitlane finetune` share: their numbers, their bar, and what they leave behind.
import { setPriority } from 'node:os';
import { join, resolve } from 'node:path';
import { statSync } from 'node:fs';
import type { Command } from 'commander';
import { BitlaneError } from '../errors.js';
import { writeFileAtomic } from '../system/index.js';
import {
  checkpointOf,
  drawCurve,
  type History,
  type StepReport,
  type ValidationPoint,
} from '../training/index.js';
import { rmSync } from 'node:fs';
import type { Cli, Progress } from './cli.js';
import { numberOption } from './values.js';

export interface TrainingFlags {
  readonly out: string;
  readonly steps?: string;
  readonly batch?: string;
  readonly learningRate?: string;
  readonly weightDecay?: string;
  readonly seed?: string;
  readonly threads?: string;
  readonly nice?: string;
  readonly memory?: string;
  readonly validateEvery?: string;
  readonly patience?: string;
  readonly limitValidation?: string;
  readonly work?: string;
}

export interface TrainingNumbers {
  readonly steps: number;
  readonly batch: number;
  readonly learningRate: number;
  readonly weightDecay: number;
  readonly seed: number;
  readonly threads: number;
  readonly memoryCeiling: number | undefined;
  readonly validateEvery: number;
  readonly patience: number | undefined;
  readonly validationLimit: number | undefined;
  /** Where checkpoint, curve and history lie. */
  readonly work: string;
}

/** The numbers as `trainDetector` takes them, and who hears of the run. */
export const runOptions = (
  cli: Cli,
  { steps, batch, learningRate, weightDecay, seed, threads, memoryCeiling, work }: TrainingNumbers,
  { onStep, onValidation }: RunBar,
) => ({
  folder: work,
  steps,
  batch,
  learningRate,
  weightDecay,
  seed,
  threads,
  ...(memoryCeiling !== undefined && { memoryCeiling }),
  signal: cli.signal,
  onStep,
  onValidation,
});

/** How often a run is validated, and for how long without a better result. */
export const validationRhythm = ({ validateEvery, patience }: TrainingNumbers) => ({
  every: validateEvery,
  ...(patience !== undefined && { patience }),
});

export interface Usual {
  readonly steps: number;
  readonly batch: number;
  readonly learningRate: number;
  /** What it is a share of, where it is one. */
  readonly rateOf?: string;
  readonly weightDecay: number;
}

/** Adds the options that both commands have. */
export const addTrainingOptions = (command: Command, usual: Usual): Command =>
  command
    .option('--steps <n>', `steps of the run (default ${usual.steps})`)
    .option('--batch <n>', `pictures in a step (default ${usual.batch})`)
    .option(
      '--learning-rate <rate>',
      `the highest learning rate${usual.rateOf === undefined ? '' : `, a share of ${usual.rateOf}`} (default ${usual.learningRate})`,
    )
    .option('--weight-decay <share>', `of weights, decoupled (default ${usual.weightDecay})`)
    .option('--seed <n>', 'equal seeds make equal runs (default 1)')
    .option('--threads <n>', 'threads of a step (default 1)')
    .option('--nice <n>', 'priority of the process, 0 to 19: 19 gives way to everything else (default 0)')
    .option('--memory <mb>', 'give up where the process holds more; spares memory for time')
    .option('--validate-every <n>', 'steps between two validations (default: a tenth of the run)')
    .option('--patience <n>', 'end where so many validations in a row are no better than the best')
    .option('--limit-validation <n>', 'validate on the first n pictures only')
    .option('--work <dir>', 'folder of the checkpoint and the loss curve (default: <out>.training)')
    .option('--json', 'print one JSON document');

const whole = (min: number, max: number) => ({ min, max, integer: true }) as const;

/**
 * @throws BitlaneError `BAD_USAGE` for a number that is none or out of range, or an output that is there already
 */
export const trainingNumbers = (flags: TrainingFlags, usual: Usual): TrainingNumbers => {
  if (statSync(flags.out, { throwIfNoEntry: false }) !== undefined) {
    throw new BitlaneError('BAD_USAGE', `${flags.out} is there already: an artifact goes into a new folder`);
  }
  const steps = numberOption('--steps', flags.steps, whole(1, 1e7), usual.steps);
  const memory = numberOption('--memory', flags.memory, whole(64, 1e6), undefined);
  const nice = numberOption('--nice', flags.nice, whole(0, 19), undefined);
  if (nice !== undefined) setPriority(nice);
  return {
    steps,
    batch: numberOption('--batch', flags.batch, whole(1, 512), usual.batch),
    learningRate: numberOption(
      '--learning-rate',
      flags.learningRate,
      { min: 1e-8, max: 10 },
      usual.learningRate,
    ),
    weightDecay: numberOption('--weight-decay', flags.weightDecay, { min: 0, max: 1 }, usual.weightDecay),
    seed: numberOption('--seed', flags.seed, whole(0, 4_294_967_295), 1),
    threads: numberOption('--threads', flags.threads, whole(1, 256), 1),
    memoryCeiling: memory === undefined ? undefined : memory * 2 ** 20,
    validateEvery: numberOption(
      '--validate-every',
      flags.validateEvery,
      whole(1, 1e7),
      Math.max(1, Math.ceil(steps / 10)),
    ),
    patience: numberOption('--patience', flags.patience, whole(1, 1000), undefined),
    validationLimit: numberOption('--limit-validation', flags.limitValidation, whole(1, 1e9), undefined),
    work: resolve(flags.work ?? `${flags.out}.training`),
  };
};

/** Shows a run: a bar with the loss on a terminal. */
export class RunBar {
  readonly #cli: Cli;
  readonly #steps: number;
  #bar: Progress | undefined;

  constructor(cli: Cli, steps: number) {
    this.#cli = cli;
    this.#steps = steps;
  }

  readonly onStep = ({ step, loss }: StepReport): void => {
    this.#bar ??= this.#cli.progress('training', this.#steps, 'steps');
    this.#bar.update(step, `loss ${loss.toFixed(3)}`);
  };

  readonly onValidation = ({ step, map50, map5095 }: ValidationPoint): void => {
    this.#cli.log.info('validated', { step, map50: map50.toFixed(4), map5095: map5095.toFixed(4) });
  };

  stop(): void {
    this.#bar?.stop();
    this.#bar = undefined;
  }
}

/** Writes the curve and the history of a run that is done; its checkpoint goes. */
export const keepHistory = (
  work: string,
  history: History,
  title: string,
): { readonly curve: string; readonly history: string } => {
  const files = { curve: join(work, 'loss.svg'), history: join(work, 'history.json') };
  writeFileAtomic(files.curve, drawCurve(history, title));
  writeFileAtomic(files.history, JSON.stringify(history));
  rmSync(checkpointOf(work), { force: true });
  return files;
};

const mean = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length);

/** What a report says of a history: losses at both ends, and every validation. */
export const summaryOf = ({ steps, validations }: History) => {
  const part = Math.max(1, Math.floor(steps.length / 10));
  return {
    steps: steps.length,
    firstLoss: mean(steps.slice(0, part).map(({ loss }) => loss)),
    lastLoss: mean(steps.slice(-part).map(({ loss }) => loss)),
    validations,
  };
};
