// The order in which pictures are seen: every picture once an epoch, shuffled by seed.
import { Random } from '../../system/index.js';

const STREAM = 71;

/** Picture numbers by place in the run. Places are asked for in rising order mostly: one epoch's order is kept. */
export class Order {
  readonly #count: number | undefined;
  readonly #seed: number;
  #epoch = -1;
  #shuffled = new Uint32Array();

  /** @param count of pictures; without one, places are numbers */
  constructor(count: number | undefined, seed: number) {
    this.#count = count;
    this.#seed = seed;
  }

  at(place: number): number {
    if (this.#count === undefined) return place;
    const epoch = Math.floor(place / this.#count);
    if (epoch !== this.#epoch) this.#shuffle(epoch, this.#count);
    return this.#shuffled[place % this.#count] ?? 0;
  }

  #shuffle(epoch: number, count: number): void {
    const random = new Random(this.#seed ^ Math.imul(epoch + 1, 0x9e3779b1), STREAM);
    const order = Uint32Array.from({ length: count }, (_, i) => i);
    for (let i = count - 1; i > 0; i -= 1) {
      const j = random.below(i + 1);
      [order[i], order[j]] = [order[j] ?? 0, order[i] ?? 0];
    }
    this.#shuffled = order;
    this.#epoch = epoch;
  }
}
