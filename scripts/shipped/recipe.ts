// How the shipped model is made: its network, its pictures, its schedule. All that a figure of its card depends on.
import { SCENE_CLASSES } from '../../src/scene/index.js';
import type { Augmentation, NetworkDefinition, OptimizerOptions } from '../../src/training/index.js';

export const CLASSES = SCENE_CLASSES;

/** As it is delivered: it sees frames of the simulated camera as they are. */
export const NETWORK: NetworkDefinition = {
  width: 640,
  height: 384,
  stem: 24,
  stemKernel: 4,
  stages: [
    { channels: 48, blocks: 1 },
    { channels: 96, blocks: 2 },
    { channels: 160, blocks: 2 },
  ],
  strides: [16, 32],
  neck: 64,
  head: 'coupled',
};

/** As it is trained, on parts of pictures that have vehicles in them: most of a frame is road and sky. */
export const TRAINED_SIZE = { width: 384, height: 224 } as const;
export const TRAINED: NetworkDefinition = { ...NETWORK, ...TRAINED_SIZE };

/** Frames as the simulated camera delivers them. */
export const FRAME = { width: 640, height: 384 } as const;

/** Pictures by the seed of their scenes; no two sets share a place. */
export interface Pictures {
  readonly seed: number;
  readonly pictures: number;
}
const sets = (...seeds: readonly number[]): Pictures[] => seeds.map((seed) => ({ seed, pictures: 3000 }));
export const VALIDATION = { seed: 91, pictures: 400 } as const;
export const HELD_OUT = { seed: 90, pictures: 2000 } as const;

/**
 * Little: pictures of the scene are what it will see. Inputs are cut around vehicles, in the frame's own size give or take a fifth:
 * scales are shares of the 0.583 to which a whole frame would fit.
 */
export const AUGMENTATION: Augmentation = {
  mosaic: 0.4,
  tiles: true,
  crops: true,
  leastShare: 0.5,
  flip: 0.5,
  scale: [1.35, 2.1],
  translate: 0.08,
  hue: 5,
  saturation: 0.3,
  brightness: 0.2,
};

export const SEED = 1;
/** Pictures of each training set in a batch. */
export const SHARE = 4;
export const OBJECTS = 24;
export const LOSS_PARTS = { box: 5, objectness: 1, class: 2 } as const;
/** A part of the training. The next one goes on from its weights, with an optimizer of its own. */
export interface Stage {
  readonly name: string;
  /** Of the first convolution. Where it is smaller than in the stage before, the middle of the window goes on. */
  readonly stemKernel: 4 | 6;
  readonly pictures: readonly Pictures[];
  /** Of the order of the pictures and of how they are changed. */
  readonly seed: number;
  readonly optimizer: OptimizerOptions;
  /** From this step on inputs are single pictures. */
  readonly mosaicUntil: number;
}

const optimizerOf = (schedule: OptimizerOptions['schedule']): OptimizerOptions => ({
  kind: 'adamw',
  schedule,
  weightDecay: 0.05,
  clipNorm: 10,
  average: { decay: 0.9985, rampSteps: 10 },
});

export const STAGES: readonly Stage[] = [
  {
    name: 'first',
    stemKernel: 6,
    pictures: sets(11, 12, 13, 14),
    seed: SEED,
    optimizer: optimizerOf({ rate: 2e-3, warmUp: 200, hold: 3000, steps: 4600, last: 0.01 }),
    mosaicUntil: 4300,
  },
  {
    name: 'second',
    stemKernel: 4,
    // Of places that it has not seen yet.
    pictures: sets(15, 16, 17, 18),
    seed: SEED + 1,
    optimizer: optimizerOf({ rate: 1.5e-3, warmUp: 200, hold: 4000, steps: 6000, last: 0.01 }),
    mosaicUntil: 5600,
  },
  {
    name: 'third',
    stemKernel: 4,
    // The same places, in another order and changed in other ways.
    pictures: sets(15, 16, 17, 18),
    seed: SEED + 2,
    optimizer: optimizerOf({ rate: 1.2e-3, warmUp: 100, hold: 2400, steps: 4000, last: 0.01 }),
    mosaicUntil: 3700,
  },
];

/** The same in mixed precision: bytes of weights, and how it is trained on. */
export const MIXED = {
  name: 'bitlane-scene-mixed',
  bytes: 415_000,
  optimizer: {
    kind: 'adamw',
    // Normalizations are folded in: channels differ by orders of magnitude.
    relative: true,
    schedule: { rate: 1e-3, warmUp: 40, steps: 1500, last: 0.02 },
    weightDecay: 0.01,
    clipNorm: 10,
    average: { decay: 0.98, rampSteps: 10 },
  },
} as const;
