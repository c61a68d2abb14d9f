// One track against the zones: in since when, for how long, how often.
import { distanceToPolygon, insidePolygon, type Point } from './geometry.js';
import type { Zone } from './scene.js';
import type { ZoneStay } from './types.js';

/** How far outside a zone a track must be to have left it, in scales of its box. */
const HYSTERESIS = 0.1;

interface Watch {
  inside: boolean;
  visits: number;
  enteredMs: number;
  leftMs: number;
  sinceMs: number;
  lastInsideMs: number;
  dwellMs: number;
}

const end = (watch: Watch): void => {
  watch.inside = false;
  watch.dwellMs += watch.lastInsideMs - watch.sinceMs;
};

/**
 * A track is in from the first frame with its reference point inside, and out once the point is clearly outside; the visit
 * then ended when it was last inside.
 */
export class ZoneWatch {
  readonly #watches = new Map<string, Watch>();

  /** @param atMs monotonic; `wallMs` UTC */
  observe(zones: readonly Zone[], point: Point, scale: number, atMs: number, wallMs: number): void {
    for (const { name, polygon } of zones) {
      const watch = this.#watches.get(name);
      if (insidePolygon(polygon, point)) {
        if (watch === undefined) {
          this.#watches.set(name, {
            inside: true,
            visits: 1,
            enteredMs: wallMs,
            leftMs: wallMs,
            sinceMs: atMs,
            lastInsideMs: atMs,
            dwellMs: 0,
          });
          continue;
        }
        if (!watch.inside) {
          watch.inside = true;
          watch.visits++;
          watch.sinceMs = atMs;
        }
        watch.lastInsideMs = atMs;
        watch.leftMs = wallMs;
      } else if (watch?.inside === true && distanceToPolygon(polygon, point) > HYSTERESIS * scale) {
        end(watch);
      }
    }
  }

  /** Ends the visits to zones that are not among `zones` any more. */
  keepOnly(zones: readonly Zone[]): void {
    const names = new Set(zones.map(({ name }) => name));
    for (const [name, watch] of this.#watches) if (watch.inside && !names.has(name)) end(watch);
  }

  /** Names of the zones it is in. */
  inside(): string[] {
    return [...this.#watches].flatMap(([name, watch]) => (watch.inside ? [name] : []));
  }

  stays(): ZoneStay[] {
    return [...this.#watches].map(([zone, watch]) => ({
      zone,
      enteredMs: watch.enteredMs,
      leftMs: watch.leftMs,
      dwellMs: watch.dwellMs + (watch.inside ? watch.lastInsideMs - watch.sinceMs : 0),
      visits: watch.visits,
    }));
  }
}
