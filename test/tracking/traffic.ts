// A small road with exact truth: vehicles that move by formula, and a detector that errs on purpose.
import { type TrackerConfig, Tracker, type Crossing, type FinishedTrack } from '../../src/tracking/index.js';
import { lineSchema, trackingSchema, zoneSchema } from '../../src/config/index.js';
import type { Box, Detection } from '../../src/vision/index.js';
import type { z } from 'zod';

export const WIDTH = 640;
export const HEIGHT = 360;
export const CLASSES = ['car', 'truck', 'bus'] as const;
export const WALL_START = Date.UTC(2025, 2, 30, 11, 58, 0);

/** Repeatable random numbers in 0..1 (mulberry32). */
export const randomFrom = (seed: number): (() => number) => {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let x = Math.imul(state ^ (state >>> 15), 1 | state);
    x = (x + Math.imul(x ^ (x >>> 7), 61 | x)) ^ x;
    return ((x ^ (x >>> 14)) >>> 0) / 4294967296;
  };
};

/** About normal, mean 0, standard deviation 1. */
const normal = (random: () => number): number => {
  let sum = -6;
  for (let i = 0; i < 12; i++) sum += random();
  return sum;
};

export interface Placed {
  /** Middle of the lower edge. */
  readonly x: number;
  readonly y: number;
  readonly w: number;
  readonly h: number;
}

export interface Vehicle {
  readonly name: string;
  readonly className: string;
  /** Where it is after `seconds`; undefined when it is not there. */
  readonly at: (seconds: number) => Placed | undefined;
}

export interface Seen extends Box {
  readonly score: number;
  readonly className: string;
}

export interface Setup {
  readonly vehicles: readonly Vehicle[];
  readonly seconds: number;
  readonly fps?: number;
  readonly seed?: number;
  /** Standard deviation of a box coordinate as a share of the box's side. */
  readonly jitter?: number;
  readonly config?: {
    readonly tracking?: z.input<typeof trackingSchema>;
    readonly lines?: readonly z.input<typeof lineSchema>[];
    readonly zones?: readonly z.input<typeof zoneSchema>[];
  };
  /** What the detector makes of a vehicle: none, one or more boxes. */
  readonly detect?: (vehicle: Vehicle, box: Box, seconds: number, random: () => number) => readonly Seen[];
  /** Whether a frame is skipped. */
  readonly skip?: (index: number, random: () => number) => boolean;
  readonly classesAt?: (seconds: number) => readonly string[];
  readonly onFrame?: (seconds: number, tracker: Tracker) => void;
}

export interface Outcome {
  readonly tracker: Tracker;
  readonly finished: readonly FinishedTrack[];
  readonly crossings: readonly Crossing[];
  /** The vehicles each track was seen on. */
  readonly vehiclesOf: ReadonlyMap<number, ReadonlySet<string>>;
  /** Crossings as `line/direction/class`, counted. */
  readonly counts: Readonly<Record<string, number>>;
}

export const configOf = ({ tracking = {}, lines = [], zones = [] }: Setup['config'] = {}): TrackerConfig => ({
  tracking: trackingSchema.parse(tracking),
  lines: lines.map((line) => lineSchema.parse(line)),
  zones: zones.map((zone) => zoneSchema.parse(zone)),
});

const whole = (vehicle: Vehicle, box: Box): Seen[] => [{ ...box, score: 0.8, className: vehicle.className }];

const clip = (value: number, high: number): number => Math.min(Math.max(value, 0), high);

export const play = (setup: Setup): Outcome => {
  const { vehicles, seconds, fps = 30, seed = 1, jitter = 0.02, detect = whole, skip, onFrame } = setup;
  const random = randomFrom(seed);
  const tracker = new Tracker(configOf(setup.config));
  const finished: FinishedTrack[] = [];
  const crossings: Crossing[] = [];
  const vehiclesOf = new Map<number, Set<string>>();
  for (let index = 0; index / fps < seconds; index++) {
    const now = index / fps;
    if (skip?.(index, random) === true) continue;
    onFrame?.(now, tracker);
    const classes = setup.classesAt?.(now) ?? CLASSES;
    const detections: Detection[] = [];
    const owners: string[] = [];
    for (const vehicle of vehicles) {
      const placed = vehicle.at(now);
      if (placed === undefined) continue;
      const { x, y, w, h } = placed;
      const noise = (side: number): number => jitter * side * normal(random);
      const box = {
        x1: clip(x - w / 2 + noise(w), WIDTH),
        y1: clip(y - h + noise(h), HEIGHT),
        x2: clip(x + w / 2 + noise(w), WIDTH),
        y2: clip(y + noise(h), HEIGHT),
      };
      if (box.x2 - box.x1 < 0.3 * w || box.y2 - box.y1 < 0.3 * h) continue;
      for (const { className, ...seen } of detect(vehicle, box, now, random)) {
        detections.push({ ...seen, classId: classes.indexOf(className) });
        owners.push(vehicle.name);
      }
    }
    const frame = {
      seq: index,
      receivedAtMs: 5000 + now * 1000,
      wallMs: WALL_START + now * 1000,
      width: WIDTH,
      height: HEIGHT,
    };
    const result = tracker.update({ frame, detections, classes });
    finished.push(...result.finished);
    crossings.push(...result.crossings);
    for (const { id, detection } of result.tracks) {
      if (detection === null) continue;
      const names = vehiclesOf.get(id) ?? new Set();
      vehiclesOf.set(id, names.add(owners[detection] ?? '?'));
    }
  }
  const last = tracker.finish();
  finished.push(...last.finished);
  crossings.push(...last.crossings);
  const counts: Record<string, number> = {};
  for (const { line, direction, className } of crossings) {
    const key = `${line}/${direction}/${className}`;
    counts[key] = (counts[key] ?? 0) + 1;
  }
  return { tracker, finished, crossings, vehiclesOf, counts };
};

/** Straight on at constant speed (pixels a second), in the picture from `start` seconds on. */
export const straight = (
  name: string,
  className: string,
  start: number,
  from: readonly [number, number],
  velocity: readonly [number, number],
  [w, h]: readonly [number, number],
): Vehicle => ({
  name,
  className,
  at: (now) => {
    if (now < start) return undefined;
    const x = from[0] + velocity[0] * (now - start);
    const y = from[1] + velocity[1] * (now - start);
    const gone = x < -w || x > WIDTH + w || y < -h || y > HEIGHT + 2 * h;
    return gone ? undefined : { x, y, w, h };
  },
});

/** True when every track was seen on one vehicle and no vehicle had two tracks. */
export const oneTrackEach = ({ vehiclesOf }: Outcome): boolean => {
  const all = [...vehiclesOf.values()].flatMap((names) => [...names]);
  return [...vehiclesOf.values()].every(({ size }) => size === 1) && new Set(all).size === all.length;
};
