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
  /** Of each row the samples that were changed: from (inclusive) and to (exclusive). */
  readonly dirtyFrom: Int32Array;
  readonly dirtyTo: Int32Array;
  readonly #left: Float64Array;
  readonly #right: Float64Array;

  constructor(width: number, height: number) {
    this.width = width;
    this.height = height;
    this.colour = new Uint32Array(width * height);
    this.inverse = new Float32Array(width * height);
    this.stamps = new Uint32Array(width * height);
    this.dirtyFrom = new Int32Array(height).fill(width);
    this.dirtyTo = new Int32Array(height);
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
    if (from < (this.dirtyFrom[row] as number)) this.dirtyFrom[row] = from;
    if (to > (this.dirtyTo[row] as number)) this.dirtyTo[row] = to;
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
   * Calls `paint` for every sample of a polygon that shows the ground and does not carry `stamp` yet.
   * @param paint gets the place of a run of samples: from (inclusive) and to (exclusive)
   */
  ground(outline: Outline, stamp: number, paint: (from: number, to: number) => void): void {
    const rows = this.#scan(outline);
    if (rows === 0) return;
    const { width } = this;
    for (let row = Math.floor(rows / 65_536); row < rows % 65_536; row += 1) {
      const from = Math.max(0, Math.ceil((this.#left[row] as number) - 0.5));
      const to = Math.min(width, Math.ceil((this.#right[row] as number) - 0.5));
      if (from >= to) continue;
      this.#mark(row, from, to);
      let start = -1;
      for (let at = row * width + from; at < row * width + to; at += 1) {
        const free = this.inverse[at] === 0 && this.stamps[at] !== stamp;
        if (free) {
          this.stamps[at] = stamp;
          if (start < 0) start = at;
        } else if (start >= 0) {
          paint(start, at);
          start = -1;
        }
      }
      if (start >= 0) paint(start, row * width + to);
    }
  }

  /** Puts back what the background shows where something was drawn, and forgets that it was. */
  restore(colour: Uint32Array, inverse: Float32Array): void {
    const { width, height } = this;
    for (let row = 0; row < height; row += 1) {
      const from = row * width + (this.dirtyFrom[row] as number);
      const to = row * width + (this.dirtyTo[row] as number);
      if (from >= to) continue;
      this.colour.set(colour.subarray(from, to), from);
      this.inverse.set(inverse.subarray(from, to), from);
    }
    this.dirtyFrom.fill(width);
    this.dirtyTo.fill(0);
  }
}
