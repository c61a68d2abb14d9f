// Labelled pictures of simulated roads, in the YOLO layout: data.yaml, images/, labels/, a folder for each split.
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate as breathe } from 'node:timers/promises';
import { stringify } from 'yaml';
import { VEHICLE_TYPES, type VehicleType } from '../config/index.js';
import { BitlaneError, messageOf } from '../errors.js';
import { Random, writeFileAtomic } from '../system/index.js';
import { drawOptions, FPS, type Given } from './drawn.js';
import { Scene } from './scene.js';
import type { SceneObject } from './truth.js';

export const SPLITS = ['train', 'val', 'test'] as const;
export type Split = (typeof SPLITS)[number];

export interface DataSetOptions extends Given {
  /** A folder that is not there yet, or empty. */
  readonly folder: string;
  readonly pictures: number;
  readonly seed: number;
  /** Shares of the splits, in their order. */
  readonly shares?: readonly [train: number, val: number, test: number];
  /** Seconds of the scene between two pictures of it. */
  readonly strideSeconds?: number;
  readonly signal?: AbortSignal;
  readonly onProgress?: (pictures: number) => void;
}

export interface DataSetSummary {
  readonly folder: string;
  readonly pictures: Readonly<Record<Split, number>>;
  readonly scenes: number;
  /** Labelled vehicles by type. */
  readonly objects: Readonly<Record<VehicleType, number>>;
  /** Vehicles that are seen but too small, too hidden or too far out of the frame for a label. */
  readonly unlabelled: number;
}

/** Pictures of one place; whole scenes go to a split, so that no split knows a place of another. */
const PER_SCENE = 12;
const STRIDE_SECONDS = 2.5;
const SHARES = [0.8, 0.1, 0.1] as const;
const STREAM = 808;

/** What a label needs: sides in pixels (a motorcycle is narrow), shares that are seen. A person could not name what is less. */
const LEAST_LONG_SIDE = 28;
const LEAST_SHORT_SIDE = 10;
const LEAST_VISIBLE = 0.5;
const LEAST_INSIDE = 0.5;

/** Whether a vehicle of a frame gets a label. */
export const isLabelled = ({ box, visible, inside }: SceneObject): boolean => {
  const [width, height] = [box.x2 - box.x1, box.y2 - box.y1];
  return (
    Math.max(width, height) >= LEAST_LONG_SIDE &&
    Math.min(width, height) >= LEAST_SHORT_SIDE &&
    visible >= LEAST_VISIBLE &&
    inside >= LEAST_INSIDE
  );
};

/** The text of a label file. */
export const labelsOf = (
  objects: readonly SceneObject[],
  { width, height }: { readonly width: number; readonly height: number },
): string =>
  objects
    .filter(isLabelled)
    .map(({ type, box: { x1, y1, x2, y2 } }) => {
      const values = [(x1 + x2) / 2 / width, (y1 + y2) / 2 / height, (x2 - x1) / width, (y2 - y1) / height];
      return `${VEHICLE_TYPES.indexOf(type)} ${values.map((value) => value.toFixed(6)).join(' ')}\n`;
    })
    .join('');

const makeFolder = (folder: string): void => {
  try {
    mkdirSync(folder, { recursive: true });
    if (readdirSync(folder).length > 0) {
      throw new BitlaneError('BAD_USAGE', `${folder} is not empty: name a new folder`);
    }
    for (const split of SPLITS) {
      mkdirSync(join(folder, 'images', split), { recursive: true });
      mkdirSync(join(folder, 'labels', split), { recursive: true });
    }
  } catch (error) {
    if (error instanceof BitlaneError) throw error;
    throw new BitlaneError('BAD_USAGE', `${folder} cannot be made: ${messageOf(error)}`, { cause: error });
  }
};

/** How many scenes each split gets, all together `scenes`: at least one where it has a share, and there are enough. */
export const scenesOf = (scenes: number, shares: readonly [number, number, number]): number[] => {
  const sum = shares[0] + shares[1] + shares[2];
  const held = shares.slice(1).map((share) => {
    if (share === 0 || scenes < 3) return 0;
    return Math.max(1, Math.round((scenes * share) / sum));
  });
  const least = shares[0] > 0 ? Math.min(1, scenes) : 0;
  const restOf = (): number => scenes - held.reduce((total, count) => total + count, 0);
  while (restOf() < least) {
    const largest = held.indexOf(Math.max(...held));
    held[largest] = (held[largest] ?? 0) - 1;
  }
  return [restOf(), ...held];
};

/**
 * Renders the pictures and writes them with their labels. `data.yaml` comes last: a folder without it is not complete. Equal
 * options make equal files.
 *
 * @throws BitlaneError `BAD_USAGE` where the folder is not empty or cannot be made
 */
export const writeDataSet = async (options: DataSetOptions): Promise<DataSetSummary> => {
  const { folder, pictures, seed, width, height, signal } = options;
  makeFolder(folder);
  const scenes = Math.max(Math.min(pictures, 3), Math.ceil(pictures / PER_SCENE));
  const perSplit = scenesOf(scenes, options.shares ?? SHARES);
  const stride = Math.max(1, Math.round((options.strideSeconds ?? STRIDE_SECONDS) * FPS));
  const random = new Random(seed, STREAM);
  const counts: Record<Split, number> = { train: 0, val: 0, test: 0 };
  const objects = Object.fromEntries(VEHICLE_TYPES.map((type) => [type, 0])) as Record<VehicleType, number>;
  let unlabelled = 0;
  let done = 0;
  let number = 0;
  for (const [index, split] of SPLITS.entries()) {
    for (let i = 0; i < (perSplit[index] ?? 0); i += 1, number += 1) {
      const scene = new Scene(drawOptions(random, options));
      const until = Math.round((pictures * (number + 1)) / scenes);
      for (let picture = 0; done < until; picture += 1, done += 1) {
        signal?.throwIfAborted();
        // A little more than the stride at times: a signal's cycle must not be sampled in step.
        scene.skip(stride - 1 + random.below(Math.max(1, stride >> 1)));
        const frame = scene.next();
        const name = `${String(number).padStart(5, '0')}-${String(picture).padStart(2, '0')}`;
        writeFileSync(join(folder, 'images', split, `${name}.jpg`), scene.encode(frame));
        writeFileSync(
          join(folder, 'labels', split, `${name}.txt`),
          labelsOf(frame.objects, { width, height }),
        );
        for (const object of frame.objects) {
          if (isLabelled(object)) objects[object.type] += 1;
          else unlabelled += 1;
        }
        counts[split] += 1;
        options.onProgress?.(done + 1);
        await breathe();
      }
    }
  }
  const present = SPLITS.filter((split) => counts[split] > 0);
  const yaml = {
    ...Object.fromEntries(present.map((split) => [split, `images/${split}`])),
    nc: VEHICLE_TYPES.length,
    names: [...VEHICLE_TYPES],
  };
  writeFileAtomic(join(folder, 'data.yaml'), stringify(yaml));
  return { folder, pictures: counts, scenes, objects, unlabelled };
};
