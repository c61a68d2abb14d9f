// The profile as a file: what a model's precisions cost on one device. Checked at the door, refused elsewhere.
import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { BitlaneError, messageOf } from '../errors.js';
import { allocationSchema } from '../quantization/index.js';
import { artifactIdSchema } from '../registry/index.js';
import { writeFileAtomic } from '../system/index.js';
import { checkDevice, type ProfileDevice, profileDeviceSchema } from './device.js';

const milliseconds = z.number().min(0);
const samples = z.array(milliseconds);
const times = z.record(z.string(), milliseconds);

export const profileSchema = z.strictObject({
  format: z.literal('bitlane-profile'),
  version: z.literal(1),
  /** When it was measured, UTC. */
  measuredAt: z.iso.datetime(),
  model: z.strictObject({ id: artifactIdSchema, name: z.string() }),
  device: profileDeviceSchema,
  threads: z.int().min(1).max(64),
  /** Degrees Celsius before and after; `null` where there is no thermometer. */
  temperature: z.strictObject({ before: z.number().nullable(), after: z.number().nullable() }),
  kernels: z.strictObject({
    exact8Bit: z.boolean(),
    exact7Bit: z.boolean(),
    /** Codes of 8-bit weights: 7 where the processor's 8-bit products saturate and that is the faster way out. */
    weightBits: z.union([z.literal(7), z.literal(8)]),
    /** Further session configuration, by onnxruntime's keys. */
    configuration: z.record(z.string(), z.string()),
    /** Time of exact 8-bit kernels over that of 7-bit weights; `null` where nothing had to be decided. */
    preciseRatio: z.number().nullable(),
  }),
  /** Of the two uniform models: everything in one precision, nothing folded. */
  uniform: z.strictObject({ fp32Ms: milliseconds, int8Ms: milliseconds, int8Ratio: z.number() }),
  /** Whether slices in front of FP32 layers are folded into them; time of the folded FP32 model over the plain one's. */
  folding: z.strictObject({ isUsed: z.boolean(), ratio: z.number().nullable() }),
  regions: z.array(
    z.strictObject({
      name: z.string(),
      components: z.array(z.string()),
      fp32Ms: milliseconds,
      int8Ms: z.number(),
      execution: z.enum(['int8', 'fp32']),
    }),
  ),
  /** Median milliseconds of every node. */
  nodes: z.strictObject({ fp32: times, int8: times, folded: times }),
  cost: z.array(z.number()),
  prediction: z.strictObject({
    plans: z.int(),
    fittedTo: z.int(),
    /** Random plans that were left out: whenever they were measured the machine was not quiet. */
    disturbed: z.int(),
    medianError: z.number(),
    worstError: z.number(),
    rankCorrelation: z.number().nullable(),
    pairs: z.array(z.strictObject({ measured: z.number(), predicted: z.number() })),
  }),
  plan: z.strictObject({
    allocation: allocationSchema,
    isFolded: z.boolean(),
    /** Which uniform model was the faster one. */
    against: z.enum(['int8', 'fp32']),
    /** Time over that of the better uniform model. */
    latencyRatio: z.number(),
    fp32Ratio: z.number(),
    rounds: z.int(),
  }),
  /** Peak of a process with that model, MB; `null` where it was not measured. */
  memoryMb: z.strictObject({
    fp32: z.number().nullable(),
    int8: z.number().nullable(),
    plan: z.number().nullable(),
  }),
  /** Raw: plans by region (`f`, `i`), milliseconds of each round. */
  samples: z.array(
    z.strictObject({ plan: z.string().regex(/^[fi]*$/), times: samples, fp32: samples, int8: samples }),
  ),
});
export type Profile = z.infer<typeof profileSchema>;

/**
 * A profile from the text of its file.
 *
 * @param what names the file in errors
 * @throws BitlaneError `BAD_CONFIG` naming the entry and the rule it breaks
 */
export const parseProfile = (text: string, what: string): Profile => {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new BitlaneError('BAD_CONFIG', `${what} is not JSON: it is truncated or no profile`, {
      cause: error,
    });
  }
  const result = profileSchema.safeParse(value);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  const path = issue?.path.join('.') ?? '';
  const rule = issue?.message ?? 'it does not follow the schema';
  throw new BitlaneError('BAD_CONFIG', `${what} is no profile: ${path === '' ? rule : `${path}: ${rule}`}`);
};

/** What a profile must have been measured for. */
export interface ProfileUse {
  readonly modelId: string;
  readonly threads: number;
  /** From `profileDevice`. */
  readonly device: ProfileDevice;
}

/**
 * Refuses a profile of another model, device or thread count.
 *
 * @throws BitlaneError `BAD_CONFIG` naming what differs
 */
export const checkProfile = (
  profile: Profile,
  { modelId, threads, device }: ProfileUse,
  what: string,
): void => {
  if (profile.model.id !== modelId) {
    throw new BitlaneError(
      'BAD_CONFIG',
      `${what} was measured for another model (${profile.model.name}, ${profile.model.id.slice(0, 12)}; this is ${modelId.slice(0, 12)}): measure this one with \`bitlane profile\``,
    );
  }
  if (profile.threads !== threads) {
    throw new BitlaneError(
      'BAD_CONFIG',
      `${what} was measured with ${profile.threads} threads, not ${threads}: measure again with \`bitlane profile --threads ${threads}\``,
    );
  }
  checkDevice(profile.device, device, what);
};

/**
 * Reads a profile.
 *
 * @throws BitlaneError `BAD_CONFIG` when it is missing, malformed, or for another model, device or thread count
 */
export const readProfile = (path: string, use: ProfileUse): Profile => {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw new BitlaneError('BAD_CONFIG', `${path} cannot be read: ${messageOf(error)}`, { cause: error });
  }
  const profile = parseProfile(text, path);
  checkProfile(profile, use, path);
  return profile;
};

/** @throws BitlaneError `STORE_FAILED` when it cannot be written */
export const writeProfile = (path: string, profile: Profile): void => {
  try {
    writeFileAtomic(path, `${JSON.stringify(profile)}\n`);
  } catch (error) {
    throw new BitlaneError('STORE_FAILED', `${path} cannot be written: ${messageOf(error)}`, {
      cause: error,
    });
  }
};
