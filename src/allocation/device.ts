// What a profile was measured on, and whether this is it.
import { readdirSync, readFileSync } from 'node:fs';
import { z } from 'zod';
import { BitlaneError } from '../errors.js';
import { describeDevice } from '../evaluation/index.js';
import { ortVersion } from '../runtime/index.js';

export const profileDeviceSchema = z.strictObject({
  name: z.string(),
  cpu: z.string(),
  cores: z.int().min(1),
  arch: z.string(),
  features: z.array(z.string()),
  memoryMb: z.number(),
  os: z.string(),
  node: z.string(),
  onnxruntime: z.string(),
  /** How the clock is governed; `unknown` where the system does not say. */
  governor: z.string(),
});
export type ProfileDevice = z.infer<typeof profileDeviceSchema>;

const read = (path: string): string | undefined => {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return undefined;
  }
};

/** Degrees Celsius of the warmest zone; `null` where there is no thermometer. */
export const temperature = (folder = '/sys/class/thermal'): number | null => {
  let zones: string[];
  try {
    zones = readdirSync(folder).filter((name) => name.startsWith('thermal_zone'));
  } catch {
    return null;
  }
  const degrees = zones
    .map((zone) => Number(read(`${folder}/${zone}/temp`) ?? NaN) / 1000)
    .filter((value) => Number.isFinite(value));
  return degrees.length === 0 ? null : Math.max(...degrees);
};

/** This device. Loads onnxruntime. */
export const profileDevice = async (): Promise<ProfileDevice> => ({
  ...describeDevice(),
  features: [...describeDevice().features],
  onnxruntime: await ortVersion(),
  governor: read('/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor') ?? 'unknown',
});

/** Words for what must be the same. */
const RULES = [
  ['cpu', 'processor'],
  ['arch', 'architecture'],
  ['cores', 'number of cores'],
  ['onnxruntime', 'onnxruntime'],
] as const;

/**
 * Refuses what was measured elsewhere.
 *
 * @throws BitlaneError `BAD_CONFIG` naming what differs
 */
export const checkDevice = (measured: ProfileDevice, here: ProfileDevice, what: string): void => {
  for (const [key, word] of RULES) {
    if (measured[key] === here[key]) continue;
    throw new BitlaneError(
      'BAD_CONFIG',
      `${what} was measured on another device (${word} ${measured[key]}, here ${here[key]}): measure this one with \`bitlane profile\``,
    );
  }
};
