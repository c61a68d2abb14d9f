// Which masks lie over which frame: while the configuration changes those before the change and those after it, and right ones only then.
import type { Config } from '../config/index.js';
import type { Frame, MaskPolygon } from '../vision/index.js';

/** Longer than any frame is held back, by the detector or by the teacher. */
const REMEMBER_MS = 3_600_000;

const polygonsOf = ({ masks }: Pick<Config, 'masks'>): readonly MaskPolygon[] =>
  masks.map(({ polygon }) => polygon);

export class Masks {
  #polygons: readonly MaskPolygon[];
  /** Those that were in force until a moment of the monotonic clock. */
  #before: { readonly untilMs: number; readonly polygons: readonly MaskPolygon[] }[] = [];

  constructor(config: Pick<Config, 'masks'>) {
    this.#polygons = polygonsOf(config);
  }

  /** A change begins: its masks are in force at once, and those so far stay. */
  begin(next: Pick<Config, 'masks'>): void {
    this.#polygons = [...this.#polygons, ...polygonsOf(next)];
  }

  /** The change is over; frames that came before may have been taken with another view. */
  settle(config: Pick<Config, 'masks'>): void {
    const nowMs = performance.now();
    this.#before = this.#before.filter(({ untilMs }) => nowMs - untilMs < REMEMBER_MS);
    this.#before.push({ untilMs: nowMs, polygons: this.#polygons });
    this.#polygons = polygonsOf(config);
  }

  /** Of a frame that may be stored or sent, whenever it came. */
  over({ receivedAtMs }: Pick<Frame, 'receivedAtMs'>): readonly MaskPolygon[] {
    const before = this.#before.filter(({ untilMs }) => untilMs >= receivedAtMs);
    return [...before.flatMap(({ polygons }) => polygons), ...this.#polygons];
  }
}
