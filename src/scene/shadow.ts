// Shadows on the ground: what stands between it and the sun, as a polygon.
import type { Pose } from './draw.js';
import type { Vec3 } from './exact.js';
import { newOutline, type Outline } from './raster.js';
import { SAMPLES, type View } from './view.js';

const outline = newOutline();
const NEAREST = 0.6;

type Point = readonly [x: number, y: number];

/** The convex hull, by Andrew's chains. */
export const hull = (points: readonly Point[]): Point[] => {
  const sorted = points.toSorted((a, b) => a[0] - b[0] || a[1] - b[1]);
  const chain = (list: readonly Point[]): Point[] => {
    const kept: Point[] = [];
    for (const p of list) {
      for (;;) {
        const [a, b] = [kept.at(-2), kept.at(-1)];
        if (a === undefined || b === undefined) break;
        if ((b[0] - a[0]) * (p[1] - a[1]) - (b[1] - a[1]) * (p[0] - a[0]) > 0) break;
        kept.pop();
      }
      kept.push(p);
    }
    return kept.slice(0, -1);
  };
  return [...chain(sorted), ...chain(sorted.toReversed())];
};

/** A polygon on the ground as an outline in samples; false where part of it lies behind the camera. */
export const onGround = (view: View, points: readonly Point[], out: Outline): boolean => {
  out.count = points.length;
  const { eye, right, down, forward, focal, cx, cy } = view;
  for (let i = 0; i < points.length; i += 1) {
    const [px, py] = points[i] ?? [0, 0];
    const [x, y, z] = [px - eye[0], py - eye[1], -eye[2]];
    const depth = forward[0] * x + forward[1] * y + forward[2] * z;
    if (depth < NEAREST) return false;
    out.x[i] = SAMPLES * (cx + (focal * (right[0] * x + right[1] * y + right[2] * z)) / depth);
    out.y[i] = SAMPLES * (cy + (focal * (down[0] * x + down[1] * y + down[2] * z)) / depth);
    out.inverse[i] = 1 / depth;
  }
  return true;
};

/** Corners of a rectangle around a pose. */
export const corners = (
  { x, y, hx, hy }: Pose,
  [back, front]: readonly [number, number],
  side: number,
): Point[] =>
  (
    [
      [back, -side],
      [front, -side],
      [front, side],
      [back, side],
    ] as const
  ).map(
    // prettier-ignore
    ([along, left]): Point => [x + along * hx - left * hy, y + along * hy + left * hx],
  );

/**
 * The shadow of a box on the ground.
 * @param along from its back to its front, from the pose
 * @param side half of its width
 * @param heights of its bottom and its top
 */
export const boxShadow = (
  view: View,
  sun: Vec3,
  pose: Pose,
  along: readonly [number, number],
  side: number,
  heights: readonly [number, number],
  draw: (outline: Outline) => void,
): void => {
  // A sun that is very low throws shadows without end.
  const high = Math.max(sun[2], 0.12);
  const base = corners(pose, along, side);
  const points = heights.flatMap((z) =>
    base.map(([x, y]): Point => [x - (sun[0] / high) * z, y - (sun[1] / high) * z]),
  );
  if (onGround(view, hull(points), outline)) draw(outline);
};
