// The last steps of a frame: rain in front of the lens, the sensor's noise.
import type { Illumination } from './light.js';
import { Random } from '../system/index.js';

const TABLE = 65_536;
const STREAM = 606;

/** Noise with the deviation of a light, made once. */
export class Sensor {
  /** Red, green, blue in turn: much the same for the three, with a little of their own. */
  readonly #noise = new Int8Array(3 * TABLE);

  constructor(seed: number, deviation: number) {
    const r = new Random(seed, STREAM);
    for (let i = 0; i < TABLE; i += 1) {
      const grey = r.normal() * deviation;
      this.#noise[3 * i] = Math.round(grey + 0.5 * deviation * r.normal());
      this.#noise[3 * i + 1] = Math.round(grey);
      this.#noise[3 * i + 2] = Math.round(grey + 0.5 * deviation * r.normal());
    }
  }

  /** Writes a picture as red, green, blue bytes with noise on it. `random` places the noise. */
  expose(pixels: Uint32Array, width: number, height: number, random: Random, out: Uint8ClampedArray): void {
    const noise = this.#noise;
    let to = 0;
    let at = 0;
    for (let row = 0; row < height; row += 1) {
      const end = at + width;
      for (let from = 3 * random.below(TABLE - width); at < end; at += 1, from += 3, to += 3) {
        const value = pixels[at] as number;
        out[to] = (value & 255) + (noise[from] as number);
        out[to + 1] = ((value >>> 8) & 255) + (noise[from + 1] as number);
        out[to + 2] = ((value >>> 16) & 255) + (noise[from + 2] as number);
      }
    }
  }
}

/** Draws falling drops. */
export const rainOver = (
  pixels: Uint32Array,
  width: number,
  height: number,
  light: Illumination,
  random: Random,
): void => {
  if (light.rain === 0) return;
  const count = Math.round((width * height) / 1_100);
  const bright = Math.min(60, 14 + 60 * light.skyLight[1]);
  const slant = 0.12 * random.between(0.6, 1.4);
  for (let i = 0; i < count; i += 1) {
    const near = random.next() * random.next();
    const length = Math.round(height * (0.012 + 0.06 * near));
    const strength = bright * (0.25 + 0.75 * random.next());
    let x = random.between(-10, width);
    const top = Math.round(random.between(-length, height));
    for (let y = Math.max(0, top); y < Math.min(height, top + length); y += 1) {
      x += slant;
      const px = x | 0;
      if (px < 0 || px >= width) continue;
      const at = y * width + px;
      const old = pixels[at] as number;
      const r = Math.min(235, (old & 255) + strength) | 0;
      const g = Math.min(235, ((old >>> 8) & 255) + strength) | 0;
      const b = Math.min(238, ((old >>> 16) & 255) + strength) | 0;
      pixels[at] = Math.max(r, old & 255) | (Math.max(g, (old >>> 8) & 255) << 8) | (Math.max(b, (old >>> 16) & 255) << 16); // prettier-ignore
    }
  }
};
