// What commands that keep within a budget share: its options, and the device profile that some of them need.
import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { type Budget, checkProfile, parseProfile, type Profile, profileDevice } from '../allocation/index.js';
import { BitlaneError, messageOf } from '../errors.js';
import type { Artifact } from '../registry/index.js';
import { numberOption } from './values.js';

export interface BudgetOptions {
  readonly budgetBytes?: string;
  readonly budgetLatency?: string;
  readonly budgetMemory?: string;
  readonly bitsAverage?: string;
  readonly profile?: string;
}

const badUsage = (message: string): BitlaneError => new BitlaneError('BAD_USAGE', message);

/** Adds the options to a command. */
export const withBudget = (command: Command): Command =>
  command
    .option('--budget-bytes <n>', 'most bytes of the model file')
    .option('--budget-latency <ms>', 'most milliseconds of a run; with --profile')
    .option('--budget-memory <mb>', "most MB of the detector's process; with --profile")
    .option('--bits-average <b>', 'most bits of a stored weight on average')
    .option('--profile <file>', 'what `bitlane profile` measured on this device');

/** @throws BitlaneError `BAD_USAGE` where there is no limit, or one that is no number */
export const budgetOf = (options: BudgetOptions): Budget => {
  const budget = {
    modelBytes: numberOption(
      '--budget-bytes',
      options.budgetBytes,
      { min: 1, max: 1e12, integer: true },
      undefined,
    ),
    latencyMs: numberOption('--budget-latency', options.budgetLatency, { min: 0, max: 1e6 }, undefined),
    memoryMb: numberOption('--budget-memory', options.budgetMemory, { min: 0, max: 1e6 }, undefined),
    averageBits: numberOption('--bits-average', options.bitsAverage, { min: 2, max: 32 }, undefined),
  };
  if (Object.values(budget).every((limit) => limit === undefined)) {
    throw badUsage(
      'an allocation needs a budget: give --budget-bytes, --budget-latency, --budget-memory or --bits-average',
    );
  }
  return budget;
};

/**
 * The profile that was named, made for this model on this device.
 *
 * @throws BitlaneError `BAD_USAGE` where a limit needs one, or it cannot be read; `BAD_CONFIG` where it is another's
 */
export const profileFor = async (
  path: string | undefined,
  { id }: Artifact,
  budget: Budget,
): Promise<Profile | undefined> => {
  if (path === undefined) {
    for (const [option, limit] of [
      ['--budget-latency', budget.latencyMs],
      ['--budget-memory', budget.memoryMb],
    ] as const) {
      if (limit !== undefined) {
        throw badUsage(`${option} needs --profile with a file from \`bitlane profile\``);
      }
    }
    return undefined;
  }
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw badUsage(`--profile: ${path} cannot be read: ${messageOf(error)}`);
  }
  const profile = parseProfile(text, path);
  checkProfile(profile, { modelId: id, threads: profile.threads, device: await profileDevice() }, path);
  return profile;
};
