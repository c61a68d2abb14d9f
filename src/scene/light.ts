// What lights a scene: sun, sky, haze, and what the camera makes of it.
import type { Light, Weather } from '../config/index.js';
import { cos, mix, radians, sin, type Vec3 } from './exact.js';

export interface Illumination {
  /** Towards the sun. */
  readonly sun: Vec3;
  /** Light of the sun on a face that looks at it, of the sky from above, and thrown back by the ground; red, green, blue. */
  readonly sunLight: Vec3;
  readonly skyLight: Vec3;
  readonly bounce: Vec3;
  /** What the sky looks like. */
  readonly zenith: Vec3;
  readonly horizon: Vec3;
  readonly clouds: number;
  /** Optical depth of the air a metre. */
  readonly haze: number;
  readonly isWet: boolean;
  /** Whether vehicles drive with their lights on, and how much those dazzle. */
  readonly lamps: number;
  /** Light of street lamps below one. */
  readonly street: number;
  readonly exposureSeconds: number;
  /** Deviation of the sensor's noise in 8-bit steps. */
  readonly noise: number;
  readonly rain: number;
}

interface Hour {
  readonly sun: number;
  readonly colour: Vec3;
  readonly sky: Vec3;
  readonly zenith: Vec3;
  readonly horizon: Vec3;
  readonly lamps: number;
  readonly street: number;
  readonly exposureSeconds: number;
  readonly noise: number;
}

const HOURS: Readonly<Record<Light, Hour>> = {
  day: {
    sun: 1.65,
    colour: [1, 0.95, 0.86],
    sky: [0.42, 0.49, 0.6],
    zenith: [0.22, 0.42, 0.8],
    horizon: [0.72, 0.82, 0.92],
    lamps: 0,
    street: 0,
    exposureSeconds: 1 / 600,
    noise: 1.6,
  },
  dusk: {
    sun: 0.42,
    colour: [1, 0.62, 0.34],
    sky: [0.2, 0.19, 0.25],
    zenith: [0.12, 0.17, 0.34],
    horizon: [0.72, 0.46, 0.3],
    lamps: 0.55,
    street: 0.1,
    exposureSeconds: 1 / 125,
    noise: 4,
  },
  night: {
    sun: 0,
    colour: [0, 0, 0],
    sky: [0.022, 0.024, 0.032],
    zenith: [0.003, 0.004, 0.01],
    horizon: [0.03, 0.026, 0.024],
    lamps: 1,
    street: 0.5,
    exposureSeconds: 1 / 60,
    noise: 5,
  },
};

interface Sky {
  readonly sun: number;
  /** Share of the sky's own light, and how grey it is. */
  readonly sky: number;
  readonly grey: number;
  readonly clouds: number;
  readonly haze: number;
  readonly lamps: number;
  readonly rain: number;
}

const SKIES: Readonly<Record<Weather, Sky>> = {
  clear: { sun: 1, sky: 1, grey: 0, clouds: 0.35, haze: 0.0012, lamps: 0, rain: 0 },
  overcast: { sun: 0, sky: 1.75, grey: 0.85, clouds: 1, haze: 0.002, lamps: 0, rain: 0 },
  rain: { sun: 0, sky: 1.15, grey: 0.9, clouds: 1, haze: 0.006, lamps: 0.35, rain: 1 },
  fog: { sun: 0, sky: 1.5, grey: 0.95, clouds: 1, haze: 0.021, lamps: 0.4, rain: 0 },
};

const scale = (a: Vec3, by: number): Vec3 => [a[0] * by, a[1] * by, a[2] * by];
const greyed = (a: Vec3, share: number): Vec3 => {
  const grey = 0.3 * a[0] + 0.55 * a[1] + 0.15 * a[2];
  return [mix(a[0], grey, share), mix(a[1], grey * 1.01, share), mix(a[2], grey * 1.04, share)];
};

/**
 * @param azimuth of the sun in degrees, from the direction of the road to the right
 * @param elevation of the sun by day, in degrees; lower at dusk
 */
export const illuminate = (
  light: Light,
  weather: Weather,
  azimuth: number,
  elevation: number,
): Illumination => {
  const hour = HOURS[light];
  const sky = SKIES[weather];
  const height = radians(light === 'dusk' ? 7 : elevation);
  const around = radians(azimuth);
  const skyLight = greyed(scale(hour.sky, sky.sky), sky.grey);
  const sunLight = scale(hour.colour, hour.sun * sky.sun);
  const high = sin(height);
  const bounce: Vec3 = [0, 1, 2].map(
    (i) => 0.16 * ((skyLight[i] ?? 0) + high * (sunLight[i] ?? 0)),
  ) as unknown as Vec3;
  // Below clouds a sunset has no glow.
  const dim = (weather === 'rain' ? 0.7 : 1) * (light === 'dusk' && weather !== 'clear' ? 0.5 : 1);
  return {
    sun: [cos(height) * sin(around), cos(height) * cos(around), high],
    sunLight,
    skyLight,
    bounce,
    zenith: greyed(scale(hour.zenith, dim), sky.grey),
    horizon: greyed(scale(hour.horizon, dim), sky.grey),
    clouds: sky.clouds,
    haze: sky.haze,
    isWet: sky.rain > 0,
    lamps: Math.max(hour.lamps, sky.lamps),
    street: hour.street,
    exposureSeconds: hour.exposureSeconds * (weather === 'clear' ? 1 : 1.6),
    noise: hour.noise * (sky.rain > 0 ? 1.25 : 1),
    rain: sky.rain,
  };
};

/** From light to an 8-bit value: a camera's curve, with a soft shoulder. */
export const tone = (light: number): number => {
  const x = light * 1.9;
  const y = (x * (1 + x / 12)) / (1 + x);
  return y >= 1 ? 255 : (255 * Math.sqrt(y)) | 0;
};

/** Packs light as a colour of the canvas. */
export const toColour = (red: number, green: number, blue: number): number =>
  tone(red) | (tone(green) << 8) | (tone(blue) << 16);
