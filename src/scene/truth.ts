// What a frame shows, exactly: counted from the samples that were drawn.
import type { VehicleType } from '../config/index.js';
import type { Box } from '../vision/index.js';
import type { Body } from './bodies/index.js';
import type { Pose } from './draw.js';
import type { Canvas } from './raster.js';
import { project, SAMPLES, type View } from './view.js';

/** A vehicle of which at least one sample is seen. */
export interface SceneObject {
  /** The same in every frame that shows the vehicle. */
  readonly trackId: number;
  readonly type: VehicleType;
  /** Around what is seen of it, in pixels of the frame, to half a pixel. */
  readonly box: Box;
  /** Share that is not hidden by what stands in front, of what lies within the frame. */
  readonly visible: number;
  /** Share of it that lies within the frame, by area of its outline's box. */
  readonly inside: number;
  /** Pixels that are seen. */
  readonly pixels: number;
  /** 1 away from the camera, -1 towards it. */
  readonly direction: 1 | -1;
  /** Metres a second; metres from the camera. */
  readonly speed: number;
  readonly distance: number;
}

/** The samples of each number of a frame. */
export interface Census {
  readonly count: Uint32Array;
  readonly x1: Int32Array;
  readonly y1: Int32Array;
  readonly x2: Int32Array;
  readonly y2: Int32Array;
}

export const newCensus = (): Census => ({
  count: new Uint32Array(256),
  x1: new Int32Array(256),
  y1: new Int32Array(256),
  x2: new Int32Array(256),
  y2: new Int32Array(256),
});

/** Counts what is seen of every number, within what was changed. */
export const takeCensus = (canvas: Canvas, census: Census): void => {
  const { count, x1, y1, x2, y2 } = census;
  count.fill(0);
  x1.fill(canvas.width);
  y1.fill(canvas.height);
  x2.fill(-1);
  y2.fill(-1);
  const { width, height, colour, dirty } = canvas;
  for (let row = 0; row < height; row += 1) {
    const start = row * width;
    canvas.eachDirty(dirty[row] as number, (from, to) => {
      let run = 0;
      let since = from;
      // Run by run: a vehicle's samples lie side by side.
      for (let column = from; column <= to; column += 1) {
        const id = column < to ? (colour[start + column] as number) >>> 24 : 0;
        if (id === run) continue;
        if (run !== 0) {
          count[run] = (count[run] as number) + column - since;
          if (since < (x1[run] as number)) x1[run] = since;
          if (column - 1 > (x2[run] as number)) x2[run] = column - 1;
          if (row < (y1[run] as number)) y1[run] = row;
          y2[run] = row;
        }
        run = id;
        since = column;
      }
    });
  }
};

/** The box of a number in pixels. */
export const boxOf = (census: Census, id: number): Box => ({
  x1: (census.x1[id] ?? 0) / SAMPLES,
  y1: (census.y1[id] ?? 0) / SAMPLES,
  x2: ((census.x2[id] ?? -1) + 1) / SAMPLES,
  y2: ((census.y2[id] ?? -1) + 1) / SAMPLES,
});

/** How much of a body lies within the frame, by the boxes around the corners of it. */
export const insideShare = (view: View, body: Body, { x, y, hx, hy }: Pose): number => {
  let [left, top, right, bottom] = [1e9, 1e9, -1e9, -1e9];
  for (const along of [-body.length / 2, body.length / 2]) {
    for (const aside of [-body.width / 2, body.width / 2]) {
      for (const z of [0, body.height]) {
        const at = project(view, [x + along * hx - aside * hy, y + along * hy + aside * hx, z]);
        if (at === undefined) return 0;
        left = Math.min(left, at[0]);
        right = Math.max(right, at[0]);
        top = Math.min(top, at[1]);
        bottom = Math.max(bottom, at[1]);
      }
    }
  }
  const wide = Math.max(0, Math.min(view.width, right) - Math.max(0, left));
  const high = Math.max(0, Math.min(view.height, bottom) - Math.max(0, top));
  return (wide * high) / Math.max(1e-9, (right - left) * (bottom - top));
};
