// One track against the lines: when its reference point passed over which line, and which way.
import { alongSegment, type Point, signedDistance } from './geometry.js';
import type { Line } from './scene.js';

/** How far beyond a line a track must get before it has crossed it, in scales of its box. */
const HYSTERESIS = 0.1;
/** Likewise for each crossing of the same line after the first: it must really have gone back. */
const HYSTERESIS_AGAIN = 1;
const LEAST_HYSTERESIS_PX = 1;

/** A passage over a line, at a moment of the monotonic clock. */
export interface Passage {
  readonly line: string;
  readonly direction: string;
  readonly atMs: number;
}

interface Watch {
  readonly place: string;
  /** Sign of the side the track counts as being on. */
  side: -1 | 1;
  distance: number;
  /** The latest change of sign: where along the segment, and when. */
  cutAlong: number;
  cutAtMs: number;
  crossed: boolean;
}

const signOf = (distance: number): -1 | 1 => (distance < 0 ? -1 : 1);

/**
 * Hysteresis: a track is on one side until it is well on the other one, so the jitter of a vehicle that stands on a line counts nothing
 * and a vehicle that then drives on counts once. The place and time of the crossing are those of the last actual passage over
 * the line. Only positions where the track was seen count; between two of them it went straight, at constant speed, however many
 * frames it was lost.
 */
export class LineWatch {
  readonly #watches = new Map<string, Watch>();
  #point: Point | undefined;
  #atMs = 0;

  /**
   * @param point reference point, pixels
   * @param scale of the box, pixels
   * @param atMs monotonic
   * @returns the lines crossed, a segment's `from` end included and its `to` end not, so that lines laid end to end share no point
   */
  observe(lines: readonly Line[], point: Point, scale: number, atMs: number): Passage[] {
    const passages: Passage[] = [];
    const before = this.#point;
    for (const line of lines) {
      const distance = signedDistance(line, point);
      const watch = this.#watches.get(line.name);
      if (watch === undefined || watch.place !== line.place || before === undefined) {
        const side = signOf(distance);
        this.#watches.set(line.name, {
          place: line.place,
          side,
          distance,
          cutAlong: NaN,
          cutAtMs: atMs,
          crossed: false,
        });
        continue;
      }
      const sign = signOf(distance);
      if (signOf(watch.distance) !== sign) {
        const part = watch.distance / (watch.distance - distance);
        const cut = {
          x: before.x + part * (point.x - before.x),
          y: before.y + part * (point.y - before.y),
        };
        watch.cutAlong = alongSegment(line, cut);
        watch.cutAtMs = this.#atMs + part * (atMs - this.#atMs);
      }
      watch.distance = distance;
      const needed = (watch.crossed ? HYSTERESIS_AGAIN : HYSTERESIS) * scale;
      if (sign === watch.side || Math.abs(distance) <= Math.max(needed, LEAST_HYSTERESIS_PX)) continue;
      watch.side = sign;
      if (watch.cutAlong >= 0 && watch.cutAlong < 1) {
        watch.crossed = true;
        const direction = sign > 0 ? line.forward : line.backward;
        passages.push({ line: line.name, direction, atMs: watch.cutAtMs });
      }
    }
    this.#point = point;
    this.#atMs = atMs;
    return passages;
  }

  /** Forgets the lines that are not among `lines` any more: were they to come back, they begin anew. */
  keepOnly(lines: readonly Line[]): void {
    const names = new Set(lines.map(({ name }) => name));
    for (const name of this.#watches.keys()) if (!names.has(name)) this.#watches.delete(name);
  }
}
