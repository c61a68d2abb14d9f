import fc from 'fast-check';
import t from 'tap';
import { BoxFilter, NOISE } from '../../src/tracking/kalman.js';
import type { Box } from '../../src/vision/index.js';

type Matrix = number[][];

const zeros = (rows: number, columns: number): Matrix =>
  Array.from({ length: rows }, () => new Array<number>(columns).fill(0));
const identity = (n: number): Matrix => zeros(n, n).map((row, i) => row.map((_, j) => (i === j ? 1 : 0)));
const at = (m: Matrix, i: number, j: number): number => m[i]?.[j] ?? NaN;
const times = (a: Matrix, b: Matrix): Matrix =>
  a.map((row) => (b[0] ?? []).map((_, j) => row.reduce((sum, x, k) => sum + x * at(b, k, j), 0)));
const plus = (a: Matrix, b: Matrix, sign = 1): Matrix =>
  a.map((row, i) => row.map((x, j) => x + sign * at(b, i, j)));
const transposed = (a: Matrix): Matrix => (a[0] ?? []).map((_, j) => a.map((row) => row[j] ?? NaN));
/** Gauss-Jordan. */
const inverted = (a: Matrix): Matrix => {
  const n = a.length;
  const work = a.map((row, i) => [...row, ...(identity(n)[i] ?? [])]);
  for (let i = 0; i < n; i++) {
    let pivot = i;
    for (let k = i; k < n; k++) if (Math.abs(at(work, k, i)) > Math.abs(at(work, pivot, i))) pivot = k;
    const row = work[pivot] ?? [];
    work[pivot] = work[i] ?? [];
    const scale = row[i] ?? NaN;
    work[i] = row.map((x) => x / scale);
    for (let k = 0; k < n; k++) {
      const factor = at(work, k, i);
      if (k !== i) work[k] = (work[k] ?? []).map((x, j) => x - factor * at(work, i, j));
    }
  }
  return work.map((row) => row.slice(n));
};

const measure = ({ x1, y1, x2, y2 }: Box): number[] => [(x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1];
const scale = (box: Box): number => Math.sqrt((box.x2 - box.x1) * (box.y2 - box.y1));
const diagonal = (values: readonly number[]): Matrix =>
  values.map((value, i) => values.map((_, j) => (i === j ? value : 0)));

/** The textbook filter: full 8 x 8 matrices, state (cx, cy, w, h, and their velocities), Joseph form. */
class TextbookFilter {
  x: Matrix;
  p: Matrix;
  #scale: number;

  constructor(box: Box) {
    const s = (this.#scale = scale(box));
    const sd = [
      ...new Array<number>(4).fill(NOISE.measured * s),
      NOISE.initialVelocity * s,
      NOISE.initialVelocity * s,
      NOISE.initialGrowth * s,
      NOISE.initialGrowth * s,
    ];
    this.x = [...measure(box), 0, 0, 0, 0].map((value) => [value]);
    this.p = diagonal(sd.map((value) => value ** 2));
  }

  predict(dt: number): void {
    const f = identity(8).map((row, i) => row.map((x, j) => (j === i + 4 ? dt : x)));
    const q = zeros(8, 8);
    for (let i = 0; i < 4; i++) {
      const density = ((i < 2 ? NOISE.acceleration : NOISE.growth) * this.#scale) ** 2;
      const set = (a: number, b: number, value: number): void => {
        (q[a] ?? [])[b] = value * density;
      };
      set(i, i, dt ** 3 / 3);
      set(i, i + 4, dt ** 2 / 2);
      set(i + 4, i, dt ** 2 / 2);
      set(i + 4, i + 4, dt);
    }
    this.x = times(f, this.x);
    this.p = plus(times(times(f, this.p), transposed(f)), q);
  }

  #parts(box: Box, sd: number): { h: Matrix; r: Matrix; y: Matrix; sInverse: Matrix } {
    const h = identity(8).slice(0, 4);
    const r = diagonal(new Array<number>(4).fill(sd ** 2));
    const y = plus(
      measure(box).map((value) => [value]),
      times(h, this.x),
      -1,
    );
    return { h, r, y, sInverse: inverted(plus(times(times(h, this.p), transposed(h)), r)) };
  }

  update(box: Box, doubt: number): void {
    this.#scale = scale(box);
    const { h, r, y, sInverse } = this.#parts(box, NOISE.measured * this.#scale * doubt);
    const k = times(times(this.p, transposed(h)), sInverse);
    const rest = plus(identity(8), times(k, h), -1);
    this.x = plus(this.x, times(k, y));
    this.p = plus(times(times(rest, this.p), transposed(rest)), times(times(k, r), transposed(k)));
  }

  distance(box: Box): number {
    const { y, sInverse } = this.#parts(box, NOISE.measured * this.#scale);
    return at(times(times(transposed(y), sInverse), y), 0, 0);
  }
}

const boxes = fc
  .record({
    x: fc.double({ min: -500, max: 2000, noNaN: true }),
    y: fc.double({ min: -500, max: 2000, noNaN: true }),
    w: fc.double({ min: 4, max: 1000, noNaN: true }),
    h: fc.double({ min: 4, max: 1000, noNaN: true }),
  })
  .map(({ x, y, w, h }): Box => ({ x1: x, y1: y, x2: x + w, y2: y + h }));
const steps = fc.array(
  fc.record({
    seconds: fc.oneof(fc.constantFrom(0, 1 / 30, 1 / 3), fc.double({ min: 0, max: 2, noNaN: true })),
    box: fc.option(boxes, { nil: undefined }),
    doubt: fc.constantFrom(1, 2),
  }),
  { maxLength: 12 },
);

const close = (a: number, b: number, tolerance = 1e-6): boolean =>
  Math.abs(a - b) <= tolerance * Math.max(1, Math.abs(a), Math.abs(b));

t.test('equals the textbook filter with full matrices, whatever the intervals', async () => {
  fc.assert(
    fc.property(boxes, steps, boxes, (first, steps, probe) => {
      const filter = new BoxFilter(first);
      const textbook = new TextbookFilter(first);
      // The full matrices subtract: what they compute is as exact as the largest variance that they ever held lets it be.
      let largest = 0;
      let smallest = scale(first);
      const tolerance = (): number => Math.max(1e-6, (1e-14 * largest) / (NOISE.measured * smallest) ** 2);
      for (const { seconds, box, doubt } of steps) {
        filter.predict(seconds);
        textbook.predict(seconds);
        largest = Math.max(largest, ...textbook.p.flat().map(Math.abs));
        if (box === undefined) continue;
        smallest = Math.min(smallest, scale(box));
        if (!close(filter.distance(box), textbook.distance(box), tolerance())) return false;
        filter.update(box, doubt);
        textbook.update(box, doubt);
      }
      largest = Math.max(largest, ...textbook.p.flat().map(Math.abs));
      return (
        close(filter.distance(probe), textbook.distance(probe), tolerance()) &&
        filter.state.every(
          ({ mean, covariance }, i) =>
            close(mean[0], at(textbook.x, i, 0), tolerance()) &&
            close(mean[1], at(textbook.x, i + 4, 0), tolerance()) &&
            Math.abs(covariance[0] - at(textbook.p, i, i)) <= 1e-12 * largest &&
            Math.abs(covariance[1] - at(textbook.p, i, i + 4)) <= 1e-12 * largest &&
            Math.abs(covariance[2] - at(textbook.p, i + 4, i + 4)) <= 1e-12 * largest,
        )
      );
    }),
    { numRuns: 500 },
  );
});

t.test('one long step equals many short ones', async () => {
  fc.assert(
    fc.property(
      boxes,
      boxes,
      fc.array(fc.double({ min: 0, max: 0.5, noNaN: true }), { minLength: 1, maxLength: 10 }),
      (first, second, parts) => {
        const [one, many] = [new BoxFilter(first), new BoxFilter(first)];
        for (const filter of [one, many]) {
          filter.predict(0.1);
          filter.update(second);
        }
        one.predict(parts.reduce((sum, part) => sum + part, 0));
        for (const part of parts) many.predict(part);
        return one.state.every(({ mean, covariance }, i) => {
          const other = many.state[i];
          return (
            other !== undefined &&
            mean.every((value, k) => close(value, other.mean[k] ?? NaN)) &&
            covariance.every((value, k) => close(value, other.covariance[k] ?? NaN))
          );
        });
      },
    ),
  );
});

t.test('covariance stays positive and the box stays a box', async () => {
  fc.assert(
    fc.property(boxes, steps, (first, steps) => {
      const filter = new BoxFilter(first);
      for (const { seconds, box, doubt } of steps) {
        filter.predict(seconds);
        if (box !== undefined) filter.update(box, doubt);
        const { x1, y1, x2, y2 } = filter.box;
        if (!(x2 > x1 && y2 > y1) || ![x1, y1, x2, y2].every(Number.isFinite)) return false;
        for (const { covariance } of filter.state) {
          const [pp, pv, vv] = covariance;
          if (!(pp > 0 && vv > 0 && pp * vv - pv * pv > -1e-9 * pp * vv)) return false;
        }
      }
      return true;
    }),
  );
});

t.test('learns a velocity in units of seconds, from irregular frames', async (t) => {
  const box = (seconds: number): Box => ({
    x1: 100 + 200 * seconds,
    y1: 50,
    x2: 160 + 200 * seconds,
    y2: 90,
  });
  const filter = new BoxFilter(box(0));
  let now = 0;
  for (const gap of [0.033, 0.1, 0.033, 0.4, 0.033, 0.066, 0.2, 0.033]) {
    now += gap;
    filter.predict(gap);
    filter.update(box(now));
  }
  const velocity = filter.state[0]?.mean[1] ?? NaN;
  t.ok(Math.abs(velocity - 200) < 2, `${velocity} px/s`);
  filter.predict(0.5);
  t.ok(Math.abs(filter.box.x1 - box(now + 0.5).x1) < 2);
});

t.test('a lost track does not grow or shrink without end', async (t) => {
  const filter = new BoxFilter({ x1: 0, y1: 0, x2: 100, y2: 100 });
  filter.predict(0.1);
  filter.update({ x1: 0, y1: 0, x2: 80, y2: 125 });
  filter.predict(60);
  const { x1, y1, x2, y2 } = filter.box;
  t.ok(Math.abs(x2 - x1 - 40) < 1e-9, 'half the width last measured');
  t.ok(Math.abs(y2 - y1 - 250) < 1e-9, 'twice the height last measured');
});
