// The options of the simulated road: what a scene shows, and what changes in it.
import { z } from 'zod';

/** What drives on the simulated road; the place in this list is the class number in its data sets. */
export const VEHICLE_TYPES = [
  'sedan',
  'hatchback',
  'wagon',
  'suv',
  'pickup',
  'van',
  'minibus',
  'bus',
  'truck',
  'motorcycle',
] as const;
export type VehicleType = (typeof VEHICLE_TYPES)[number];

export const WEATHERS = ['clear', 'overcast', 'rain', 'fog'] as const;
export type Weather = (typeof WEATHERS)[number];

export const LIGHTS = ['day', 'dusk', 'night'] as const;
export type Light = (typeof LIGHTS)[number];

const seed = z.int().min(0).max(4_294_967_295);
const share = z.number().min(0).max(1_000);
const weather = z.enum(WEATHERS);
const light = z.enum(LIGHTS);
const perMinute = z.number().min(0.5).max(40);

const trafficMix = z
  .strictObject({
    sedan: share.optional(),
    hatchback: share.optional(),
    wagon: share.optional(),
    suv: share.optional(),
    pickup: share.optional(),
    van: share.optional(),
    minibus: share.optional(),
    bus: share.optional(),
    truck: share.optional(),
    motorcycle: share.optional(),
  } satisfies Record<VehicleType, unknown>)
  .refine(
    (mix) => Object.values(mix).some((value) => (value ?? 0) > 0),
    'must give at least one type a share',
  );
/** Shares of the types; those that are left out have none. The sum is free. */
export type TrafficMix = z.infer<typeof trafficMix>;

const DEFAULT_MIX: TrafficMix = {
  sedan: 22,
  hatchback: 22,
  wagon: 12,
  suv: 16,
  pickup: 5,
  van: 8,
  minibus: 3,
  bus: 3,
  truck: 6,
  motorcycle: 3,
};

const driftStep = z.strictObject({
  atSeconds: z.number().min(0).max(31_536_000).describe('seconds of the scene after which it begins'),
  overSeconds: z
    .number()
    .min(0)
    .max(86_400)
    .default(0)
    .describe('how long the mix takes to change; weather and light change at once'),
  trafficMix: trafficMix.optional(),
  vehiclesPerMinute: perMinute.optional(),
  weather: weather.optional(),
  light: light.optional(),
});

const side = (low: number, high: number) => z.int().min(low).max(high).multipleOf(2);

/** The options of a scene without those of a camera. */
export const sceneShape = {
  width: side(128, 1920).default(640),
  height: side(96, 1200).default(384),
  fps: z.number().min(0.5).max(120).default(30),
  seed: seed.default(1).describe('the traffic: equal seeds make equal frames'),
  site: seed.optional().describe('the place: road, camera and surroundings; the one of `seed` when left out'),
  pace: z
    .enum(['realtime', 'fast'])
    .default('realtime')
    .describe('at `fps`, or every frame as soon as it is asked for'),
  weather: weather.default('clear'),
  light: light.default('day'),
  trafficMix: trafficMix
    .default(DEFAULT_MIX)
    .describe('share of each vehicle type; those left out do not come'),
  vehiclesPerMinute: perMinute.default(12).describe('vehicles that come on a lane'),
  jpegQuality: z.int().min(20).max(100).default(88).describe('of the frames'),
  drift: z
    .array(driftStep)
    .max(16)
    .default([])
    .refine(
      (steps) => steps.every((step, index) => step.atSeconds >= (steps[index - 1]?.atSeconds ?? 0)),
      'must be in the order of time',
    )
    .describe('what changes in the scene, and when'),
};

export const sceneSchema = z.strictObject(sceneShape);
export type SceneOptions = z.infer<typeof sceneSchema>;
