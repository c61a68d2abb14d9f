// Polygons of zones and masks: points in order around an area.
import { z } from 'zod';
import { point } from './values.js';

type Corner = z.infer<typeof point>;

/** About a pixel of a picture of 1280x720: less is a point or a line. */
const MIN_AREA = 1e-6;
/** Rounding: points nearer to a line than this are on it. */
const ON_LINE = 1e-12;

/** Twice the area of a triangle, its sign the side of `c` seen from `a` towards `b`. */
const side = (a: Corner, b: Corner, c: Corner): number => {
  const twice = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]);
  return Math.abs(twice) < ON_LINE ? 0 : twice;
};

const edgesOf = (corners: readonly Corner[]): (readonly [Corner, Corner])[] =>
  corners.map((corner, index) => [corner, corners[(index + 1) % corners.length] ?? corner]);

/** Whether two edges cross in the middle of both; edges that only touch do not. */
const cross = ([a, b]: readonly [Corner, Corner], [c, d]: readonly [Corner, Corner]): boolean =>
  side(a, b, c) * side(a, b, d) < 0 && side(c, d, a) * side(c, d, b) < 0;

const crossesItself = (corners: readonly Corner[]): boolean => {
  const edges = edgesOf(corners);
  return edges.some((edge, index) => edges.slice(index + 1).some((other) => cross(edge, other)));
};

/** Of the shape, 0..1 of the picture. */
const areaOf = (corners: readonly Corner[]): number =>
  Math.abs(edgesOf(corners).reduce((sum, [a, b]) => sum + a[0] * b[1] - b[0] * a[1], 0)) / 2;

/** Three to 64 points around an area; the first may be named again at the end. */
export const polygon = z
  .array(point)
  .min(3)
  .max(64)
  .superRefine((corners, context) => {
    // Too few of them are told of already.
    if (corners.length < 3) return;
    if (crossesItself(corners)) {
      context.addIssue({
        code: 'custom',
        message: 'must not cross itself: name its points in their order around the area',
      });
    } else if (areaOf(corners) < MIN_AREA) {
      context.addIssue({
        code: 'custom',
        message: 'must enclose an area: its points are the same or lie on one line',
      });
    }
  })
  .describe('in their order around the area, without crossing');
