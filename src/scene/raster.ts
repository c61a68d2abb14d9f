// Convex polygons into a picture of samples, with depth. Everything that a frame shows is drawn by `fill`.

/** The most points that a polygon may have. */
export const MAX_POINTS = 32;

/** A sample's colour is red + green << 8 + blue << 16; the top 8 bits number what was drawn there, 0 for the background. */
export type Colour = number;

/** The corners of the polygon that is drawn next: pixels of the canvas, and 1 / depth in metres. */
export interface Outline {
  readonly x: Float64Array;
  readonly y: Float64Array;
  readonly inverse: Float64Array;
  count: number;
}

export const newOutline = (): Outline => ({
  x: new Float64Array(MAX_POINTS),
  y: new Float64Array(MAX_POINTS),
  inverse: new Float64Array(MAX_POINTS),
  count: 0,
});

export class Canvas {
  readonly width: number;
  readonly height: number;
  readonly colour: Uint32Array;
  /** 1 / depth: 0 is infinitely far. */
  readonly inverse: Float32Array;
  /** The number of the last stamp that covered a sample, whatever stood in front of it. */
  readonly stamps: Uint32Array;
  /** Of each row which of its 32 equal parts were changed, a bit each. */
  readonly dirty: Uint32Array;
  /** Samples in such a part. */
  readonly part: number;
  readonly #left: Float64Array;
  readonly #right: Float64Array;

  constructor(width: number, height: number) {
    this.width = width;
    this.height = height;
    this.colour = new Uint32Array(width * height);
    this.inverse = new Float32Array(width * height);
    this.stamps = new Uint32Array(width * height);
    this.part = Math.ceil(width / 64) * 2;
    this.dirty = new Uint32Array(height);
    this.#left = new Float64Array(height);
    this.#right = new Float64Array(height);
  }

  /** Rows that an outline touches; their spans are left in `#left` and `#right`. Returns first << 16 | end. */
  #scan({ x, y, count }: Outline): number {
    let low = Number.POSITIVE_INFINITY;
    let high = Number.NEGATIVE_INFINITY;
    for (let i = 0; i < count; i += 1) {
      const value = y[i] as number;
      if (value < low) low = value;
      if (value > high) high = value;
    }
    const first = Math.max(0, Math.ceil(low - 0.5));
    const end = Math.min(this.height, Math.ceil(high - 0.5));
    if (!(first < end)) return 0;
    const left = this.#left;
    const right = this.#right;
    left.fill(1e9, first, end);
    right.fill(-1e9, first, end);
    for (let i = 0, j = count - 1; i < count; j = i, i += 1) {
      const down = (y[j] as number) < (y[i] as number);
      const [a, b] = down ? [j, i] : [i, j];
      const y0 = y[a] as number;
      const y1 = y[b] as number;
      const from = Math.max(first, Math.ceil(y0 - 0.5));
      const to = Math.min(end, Math.ceil(y1 - 0.5));
      if (from >= to) continue;
      const slope = ((x[b] as number) - (x[a] as number)) / (y1 - y0);
      let at = (x[a] as number) + (from + 0.5 - y0) * slope;
      for (let row = from; row < to; row += 1, at += slope) {
        if (at < (left[row] as number)) left[row] = at;
        if (at > (right[row] as number)) right[row] = at;
      }
    }
    return first * 65_536 + end;
  }

  #mark(row: number, from: number, to: number): void {
    const { part } = this;
    const first = (from / part) | 0;
    const last = ((to - 1) / part) | 0;
    // Ones from bit `first` to bit `last`.
    this.dirty[row] = ((this.dirty[row] as number) | ((-1 << first) & (-1 >>> (31 - last)))) >>> 0;
  }

  /**
   * Draws a convex polygon where nothing nearer stands.
   * @param stamp samples that did not carry this number yet are counted; 0 counts none
   * @returns how many samples were counted
   */
  fill(outline: Outline, colour: Colour, stamp: number): number {
    const rows = this.#scan(outline);
    if (rows === 0) return 0;
    const { x, y, inverse, count } = outline;
    // The plane of 1 / depth over the picture, by Newell's sums: they also serve faces that are not quite flat.
    let nx = 0;
    let ny = 0;
    let nz = 0;
    let mx = 0;
    let my = 0;
    let mi = 0;
    for (let i = 0, j = count - 1; i < count; j = i, i += 1) {
      const [xi, yi, ii] = [x[i] as number, y[i] as number, inverse[i] as number];
      const [xj, yj, ij] = [x[j] as number, y[j] as number, inverse[j] as number];
      nx += (yj - yi) * (ij + ii);
      ny += (ij - ii) * (xj + xi);
      nz += (xj - xi) * (yj + yi);
      mx += xi;
      my += yi;
      mi += ii;
    }
    if (nz < 1e-9 && nz > -1e-9) return 0;
    const dx = -nx / nz;
    const dy = -ny / nz;
    const base = mi / count - (dx * mx) / count - (dy * my) / count;
    const first = Math.floor(rows / 65_536);
    const end = rows % 65_536;
    const { width } = this;
    const colours = this.colour;
    const depths = this.inverse;
    const stamps = this.stamps;
    let fresh = 0;
    for (let row = first; row < end; row += 1) {
      let from = Math.ceil((this.#left[row] as number) - 0.5);
      let to = Math.ceil((this.#right[row] as number) - 0.5);
      if (from < 0) from = 0;
      if (to > width) to = width;
      if (from >= to) continue;
      this.#mark(row, from, to);
      let depth = base + dy * (row + 0.5) + dx * (from + 0.5);
      const stop = row * width + to;
      for (let at = row * width + from; at < stop; at += 1, depth += dx) {
        if (stamps[at] !== stamp) {
          stamps[at] = stamp;
          fresh += 1;
        }
        if (depth > (depths[at] as number)) {
          depths[at] = depth;
          colours[at] = colour;
        }
      }
    }
    return fresh;
  }

  /**
   * Changes every sample of a polygon that shows the ground and does not carry `stamp` yet.
   * @param shade a picture to take its colour from; `quarter` and `half` take away that much of its own
   */
  ground(outline: Outline, stamp: number, shade: Uint32Array | 'quarter' | 'half'): void {
    const rows = this.#scan(outline);
    if (rows === 0) return;
    const { width, colour, inverse, stamps } = this;
    for (let row = Math.floor(rows / 65_536); row < rows % 65_536; row += 1) {
      const from = Math.max(0, Math.ceil((this.#left[row] as number) - 0.5));
      const to = Math.min(width, Math.ceil((this.#right[row] as number) - 0.5));
      if (from >= to) continue;
      this.#mark(row, from, to);
      const end = row * width + to;
      for (let at = row * width + from; at < end; at += 1) {
        if (inverse[at] !== 0 || stamps[at] === stamp) continue;
        stamps[at] = stamp;
        const old = colour[at] as number;
        if (shade === 'quarter') colour[at] = old - ((old >>> 2) & 0x3f3f3f);
        else if (shade === 'half') colour[at] = (old >>> 1) & 0x7f7f7f;
        else colour[at] = shade[at] as number;
      }
    }
  }

  /** Calls `visit` for every run of changed parts of a row: samples from (inclusive) and to (exclusive). */
  eachDirty(bits: number, visit: (from: number, to: number) => void): void {
    for (let rest = bits; rest !== 0;) {
      const first = 31 - Math.clz32(rest & -rest);
      const ones = ~(rest >>> first);
      const length = ones === 0 ? 32 - first : 31 - Math.clz32(ones & -ones);
      visit(first * this.part, Math.min(this.width, (first + length) * this.part));
      const end = first + length;
      rest = end > 31 ? 0 : rest & (-1 << end);
    }
  }

  /** Puts back what the background shows where something was drawn, and forgets that it was. */
  restore(colour: Uint32Array, inverse: Float32Array): void {
    for (let row = 0; row < this.height; row += 1) {
      const start = row * this.width;
      this.eachDirty(this.dirty[row] as number, (from, to) => {
        this.colour.set(colour.subarray(start + from, start + to), start + from);
        this.inverse.set(inverse.subarray(start + from, start + to), start + from);
      });
    }
    this.dirty.fill(0);
  }
}
