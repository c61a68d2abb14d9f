// What a track remembers: a ring of class samples, the flips in it, and a thinned path.
import type { ClassFlip, ClassSample, PathPoint } from './types.js';

/** Keeps the latest `capacity` items in order. */
export class Ring<T> {
  #items: T[] = [];
  /** Index of the oldest item once the ring is full. */
  #head = 0;
  #capacity: number;

  /** @param capacity at least 1 */
  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  push(item: T): void {
    if (this.#items.length < this.#capacity) this.#items.push(item);
    else {
      this.#items[this.#head] = item;
      this.#head = (this.#head + 1) % this.#capacity;
    }
  }

  /** Keeps the latest `capacity` items from now on. */
  resize(capacity: number): void {
    if (capacity === this.#capacity) return;
    this.#items = this.toArray().slice(-capacity);
    this.#head = 0;
    this.#capacity = capacity;
  }

  /** Oldest first. */
  toArray(): T[] {
    return [...this.#items.slice(this.#head), ...this.#items.slice(0, this.#head)];
  }
}

/** The changes of class between samples that follow each other. */
export const flips = (history: readonly ClassSample[]): ClassFlip[] =>
  history.flatMap((sample, index) => {
    const before = history[index - 1];
    if (before === undefined || before.className === sample.className) return [];
    return [
      {
        seq: sample.seq,
        wallMs: sample.wallMs,
        from: before.className,
        to: sample.className,
        fromScore: before.score,
        toScore: sample.score,
      },
    ];
  });

const MAX_POINTS = 64;

/** A path of at most 64 points: when it is full every second point goes, and from then on half as many are taken. */
export class Path {
  #kept: PathPoint[] = [];
  #latest: PathPoint | undefined;
  #every = 1;
  #seen = 0;

  add(point: PathPoint): void {
    this.#latest = point;
    if (this.#seen++ % this.#every !== 0) return;
    // One place is for the last point.
    if (this.#kept.length === MAX_POINTS - 1) {
      this.#kept = this.#kept.filter((_, index) => index % 2 === 0);
      this.#every *= 2;
      if ((this.#seen - 1) % this.#every !== 0) return;
    }
    this.#kept.push(point);
  }

  points(): PathPoint[] {
    const last = this.#latest;
    return last === undefined || this.#kept.at(-1) === last ? [...this.#kept] : [...this.#kept, last];
  }
}
