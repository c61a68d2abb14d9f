// The sky and what stands on the horizon.
import { clamp, mix, smooth, type Vec3 } from './exact.js';
import type { Illumination } from './light.js';
import type { Surroundings } from './site.js';
import type { Texture } from './texture.js';

/** What is seen in a direction above the horizon: light into `out`. */
export const skyAt = (
  light: Illumination,
  texture: Texture,
  surroundings: Surroundings,
  [x, y, z]: Vec3,
  out: { red: number; green: number; blue: number },
): void => {
  const { zenith, horizon } = light;
  const flat = Math.sqrt(x * x + y * y) || 1;
  const slope = z / flat;
  const turn = (x / (Math.abs(y) + 0.05)) * 9;
  // Woods or roofs far away, grey through the air between.
  const ridge = 0.012 + 0.035 * texture.cloudy(turn * 0.35 + 50, 3.5) + 0.012 * texture.at(turn * 4, 9.5);
  const roofs = surroundings === 'city' ? 0.04 * Math.floor(3 * texture.at(Math.floor(turn * 2.2) + 0.5, 77.5)) : 0; // prettier-ignore
  if (slope < ridge + roofs) {
    const air = clamp(0.25 + light.haze * 180, 0, 0.97);
    const leaf = 0.6 + 0.8 * texture.at(turn * 9, slope * 300);
    const up = light.skyLight;
    const sun = light.sunLight;
    const wall = roofs > 0 && slope > ridge;
    const [r, g, b] = wall ? [0.16, 0.15, 0.14] : [0.05, 0.07, 0.03];
    out.red = mix(r * leaf * (up[0] + 0.5 * sun[0]), horizon[0], air);
    out.green = mix(g * leaf * (up[1] + 0.5 * sun[1]), horizon[1], air);
    out.blue = mix(b * leaf * (up[2] + 0.5 * sun[2]), horizon[2], air);
    return;
  }
  const high = clamp(slope * 1.6, 0, 1);
  const height = high * (2 - high);
  const scale = 1.2 / (slope + 0.18);
  const cover = texture.cloudy((x / flat) * scale * 2 + 100, (y / flat) * scale * 2);
  const cloud = smooth(1 - light.clouds * 0.85, 1.25 - light.clouds * 0.6, cover) * smooth(0, 0.1, slope);
  const shade = 0.75 + 0.5 * texture.at((x / flat) * scale * 4, (y / flat) * scale * 4 + 60);
  const white: Vec3 = [0, 1, 2].map(
    (i) => (1.1 * (light.skyLight[i] ?? 0) + 0.3 * (light.sunLight[i] ?? 0)) * shade,
  ) as unknown as Vec3;
  const amount = light.clouds >= 1 ? 0.6 * smooth(0, 0.3, slope) : cloud * 0.8;
  out.red = mix(mix(horizon[0], zenith[0], height), white[0], amount);
  out.green = mix(mix(horizon[1], zenith[1], height), white[1], amount);
  out.blue = mix(mix(horizon[2], zenith[2], height), white[2], amount);
};
