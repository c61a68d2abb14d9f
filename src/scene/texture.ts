// Smooth random fields: grass, asphalt, clouds.
import { Random } from '../system/index.js';

const SIZE = 256;
const MASK = SIZE - 1;
const STREAM = 202;

/** Value noise on a torus of 256 x 256 cells. */
export class Texture {
  readonly #values = new Float32Array(SIZE * SIZE);

  constructor(seed: number) {
    const r = new Random(seed, STREAM);
    for (let i = 0; i < this.#values.length; i += 1) this.#values[i] = r.next();
  }

  /** 0..1, with one cell a unit. */
  at(x: number, y: number): number {
    const x0 = Math.floor(x);
    const y0 = Math.floor(y);
    const fx = x - x0;
    const fy = y - y0;
    const sx = fx * fx * (3 - 2 * fx);
    const sy = fy * fy * (3 - 2 * fy);
    const row0 = (y0 & MASK) * SIZE;
    const row1 = ((y0 + 1) & MASK) * SIZE;
    const c0 = x0 & MASK;
    const c1 = (x0 + 1) & MASK;
    const v = this.#values;
    const a = v[row0 + c0] as number;
    const b = v[row0 + c1] as number;
    const c = v[row1 + c0] as number;
    const d = v[row1 + c1] as number;
    const top = a + (b - a) * sx;
    return top + (c + (d - c) * sx - top) * sy;
  }

  /** Four octaves, 0..1. */
  cloudy(x: number, y: number): number {
    return (
      (8 * this.at(x, y) +
        4 * this.at(2 * x + 17, 2 * y + 5) +
        2 * this.at(4 * x + 3, 4 * y + 41) +
        this.at(8 * x + 11, 8 * y + 29)) /
      15
    );
  }
}
