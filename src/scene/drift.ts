// What a scene is like at a moment: its options, and what changed since.
import type { Light, SceneOptions, TrafficMix, Weather } from '../config/index.js';
import { VEHICLE_TYPES } from '../config/index.js';
import { clamp, mix } from './exact.js';

export interface Conditions {
  readonly weather: Weather;
  readonly light: Light;
  /** Shares of the types in their order; their sum is 1. */
  readonly shares: readonly number[];
  readonly vehiclesPerMinute: number;
}

const sharesOf = (traffic: TrafficMix): number[] => {
  const values = VEHICLE_TYPES.map((type) => traffic[type] ?? 0);
  const sum = values.reduce((total, value) => total + value, 0);
  return values.map((value) => value / sum);
};

/** @param seconds since the beginning of the scene */
export const conditionsAt = (options: SceneOptions, seconds: number): Conditions => {
  let { weather, light, vehiclesPerMinute } = options;
  let shares = sharesOf(options.trafficMix);
  for (const step of options.drift) {
    if (step.atSeconds > seconds) break;
    weather = step.weather ?? weather;
    light = step.light ?? light;
    vehiclesPerMinute = step.vehiclesPerMinute ?? vehiclesPerMinute;
    if (step.trafficMix !== undefined) {
      const done = step.overSeconds === 0 ? 1 : clamp((seconds - step.atSeconds) / step.overSeconds, 0, 1);
      const next = sharesOf(step.trafficMix);
      shares = shares.map((share, index) => mix(share, next[index] ?? 0, done));
    }
  }
  return { weather, light, shares, vehiclesPerMinute };
};
