// Lines and zones laid over a frame: shares of width and height become pixels.
import type { LineConfig, ZoneConfig } from '../config/index.js';
import type { Point, Segment } from './geometry.js';

export interface Line extends Segment {
  readonly name: string;
  readonly forward: string;
  readonly backward: string;
  /** Equal for lines that lie in the same place of the frame. */
  readonly place: string;
}

export interface Zone {
  readonly name: string;
  readonly polygon: readonly Point[];
}

export interface Scene {
  readonly lines: readonly Line[];
  readonly zones: readonly Zone[];
}

/** Lines shorter than this many pixels have no sides. */
const SHORTEST_LINE = 1;

export const layScene = (
  lines: readonly LineConfig[],
  zones: readonly ZoneConfig[],
  width: number,
  height: number,
): Scene => {
  const toPixels = ([x, y]: readonly [number, number]): Point => ({ x: x * width, y: y * height });
  return {
    lines: lines
      .map(({ name, from, to, forward, backward }) => ({
        name,
        forward,
        backward,
        from: toPixels(from),
        to: toPixels(to),
        place: JSON.stringify([from, to]),
      }))
      .filter(({ from, to }) => Math.hypot(to.x - from.x, to.y - from.y) >= SHORTEST_LINE),
    zones: zones.map(({ name, polygon }) => ({ name, polygon: polygon.map(toPixels) })),
  };
};
