// A detector from scratch, described: sizes of its parts, in a file or by name.
import { existsSync, readFileSync } from 'node:fs';
import { z } from 'zod';
import { BitlaneError, messageOf } from '../../errors.js';
import type { DetectorSpec } from '../../registry/index.js';

const channels = z.int().min(4).max(2048).multipleOf(4);

export const networkSchema = z.strictObject({
  /** Pixels of the input; multiples of the coarsest stride. */
  width: z.int().min(64).max(2048),
  height: z.int().min(64).max(2048),
  /** Channels of the first convolution, which has stride 4. */
  stem: channels,
  /** Its window (default 6). With 4, every pixel is seen once: less to compute. */
  stemKernel: z.union([z.literal(4), z.literal(6)]).optional(),
  /**
   * Each stage halves the sides, then goes through so many residual blocks (1x1 to half the channels, 3x3 back). The first is at
   * stride 8.
   */
  stages: z
    .array(z.strictObject({ channels, blocks: z.int().min(0).max(12) }))
    .min(2)
    .max(4),
  /** Strides that have a head: those of the last stages, one after the other. */
  strides: z
    .array(z.union([z.literal(8), z.literal(16), z.literal(32), z.literal(64)]))
    .min(1)
    .max(4),
  /** Channels of the top-down neck and of the heads. */
  neck: channels,
  /** `coupled`: one 3x3 convolution, then boxes and scores from it; `decoupled`: one for boxes and one for classes. */
  head: z.enum(['coupled', 'decoupled']).default('coupled'),
});

/** A network of this family. */
export type NetworkDefinition = z.infer<typeof networkSchema>;

const STEM_STRIDE = 4;

/** Stride of a stage's output. */
export const strideOf = (stage: number): number => STEM_STRIDE * 2 ** (stage + 1);

/** Networks that are known by name. */
export const NETWORKS: Readonly<Record<string, NetworkDefinition>> = {
  /** What trains in minutes. */
  tiny: {
    width: 320,
    height: 192,
    stem: 16,
    stages: [
      { channels: 32, blocks: 1 },
      { channels: 64, blocks: 1 },
      { channels: 96, blocks: 1 },
    ],
    strides: [8, 16, 32],
    neck: 32,
    head: 'coupled',
  },
  small: {
    width: 416,
    height: 256,
    stem: 24,
    stages: [
      { channels: 48, blocks: 1 },
      { channels: 96, blocks: 2 },
      { channels: 160, blocks: 2 },
    ],
    strides: [8, 16, 32],
    neck: 64,
    head: 'coupled',
  },
  medium: {
    width: 640,
    height: 384,
    stem: 32,
    stages: [
      { channels: 64, blocks: 1 },
      { channels: 128, blocks: 2 },
      { channels: 224, blocks: 2 },
    ],
    strides: [8, 16, 32],
    neck: 80,
    head: 'coupled',
  },
};

const bad = (what: string, rule: string): BitlaneError => new BitlaneError('BAD_CONFIG', `${what}: ${rule}`);

/**
 * A definition that holds together.
 *
 * @param what names it in errors
 * @throws BitlaneError `BAD_CONFIG`
 */
export const checkNetwork = (value: unknown, what: string): NetworkDefinition => {
  const parsed = networkSchema.safeParse(value);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    throw bad(what, `${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'is not understood'}`);
  }
  const network = parsed.data;
  const last = network.stages.length - network.strides.length;
  const expected = network.stages.map((_, stage) => strideOf(stage)).slice(Math.max(0, last));
  if (last < 0 || expected.join() !== network.strides.join()) {
    throw bad(
      what,
      `its strides are ${network.strides.join(', ')}, and those of its last stages are ${expected.join(', ')}`,
    );
  }
  const coarsest = Math.max(...network.strides);
  if (network.width % coarsest !== 0 || network.height % coarsest !== 0) {
    throw bad(
      what,
      `its input of ${network.width}x${network.height} must be multiples of ${coarsest}, its coarsest stride`,
    );
  }
  return network;
};

/**
 * A network by name, or from a JSON file.
 *
 * @throws BitlaneError `BAD_CONFIG`
 */
export const openNetwork = (nameOrFile: string): NetworkDefinition => {
  const named = NETWORKS[nameOrFile];
  if (named !== undefined) return named;
  let text: string;
  try {
    text = readFileSync(nameOrFile, 'utf8');
  } catch (error) {
    throw bad(
      nameOrFile,
      `is neither one of the networks ${Object.keys(NETWORKS).join(', ')} nor a file that can be read${existsSync(nameOrFile) ? ` (${messageOf(error)})` : ''}`,
    );
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw bad(nameOrFile, `is not JSON: ${messageOf(error)}`);
  }
  return checkNetwork(value, nameOrFile);
};

const INPUT = 'pictures';
const OUTPUT = 'output';

/** What serves a network of this family. */
export const detectorOf = (network: NetworkDefinition, classes: readonly string[]): DetectorSpec => ({
  input: {
    name: INPUT,
    width: network.width,
    height: network.height,
    colourOrder: 'rgb',
    mean: [0, 0, 0],
    scale: [1 / 255, 1 / 255, 1 / 255],
    letterbox: 'top-left',
    pad: 114,
  },
  head: { type: 'yolox', output: OUTPUT, boxes: 'raw', strides: [...network.strides] },
  classes: [...classes],
});
