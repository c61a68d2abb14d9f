// The list of commands.
import type { Command } from 'commander';
import type { Cli } from './cli.js';
import { addAdapt } from './adapt.js';
import { addAllocate } from './allocate.js';
import { addDoctor } from './doctor.js';
import { addEval } from './eval.js';
import { addExamples } from './examples.js';
import { addExperiment } from './experiment.js';
import { addFinetune } from './finetune.js';
import { addModels } from './models.js';
import { addProfile } from './profile.js';
import { addQuantize } from './quantize.js';
import { addRun } from './run.js';
import { addSignificance } from './significance.js';
import { addScene } from './scene.js';
import { addTrain } from './train.js';

/** Adds one command (with its subcommands) to the program. */
export type AddCommand = (program: Command, cli: Cli) => void;

export const COMMANDS: readonly AddCommand[] = [
  addRun,
  addDoctor,
  addModels,
  addEval,
  addProfile,
  addQuantize,
  addSignificance,
  addAllocate,
  addFinetune,
  addTrain,
  addAdapt,
  addExamples,
  addExperiment,
  addScene,
];
