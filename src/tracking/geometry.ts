// Plane geometry of boxes, lines and polygons, in pixels (y grows downwards).
import type { Box } from '../vision/index.js';

export interface Point {
  readonly x: number;
  readonly y: number;
}

/** Intersection over union, 0..1. */
export const overlap = (a: Box, b: Box): number => {
  const width = Math.min(a.x2, b.x2) - Math.max(a.x1, b.x1);
  if (width <= 0) return 0;
  const height = Math.min(a.y2, b.y2) - Math.max(a.y1, b.y1);
  if (height <= 0) return 0;
  const both = width * height;
  return both / ((a.x2 - a.x1) * (a.y2 - a.y1) + (b.x2 - b.x1) * (b.y2 - b.y1) - both);
};

/** Side of the square of the same area. */
export const scaleOf = (box: Box): number => Math.sqrt((box.x2 - box.x1) * (box.y2 - box.y1));

/**
 * The point of a track that crosses lines and stands in zones: the middle of the box's lower edge. There the
 * vehicle meets the road, so a line drawn on the road means the same for a car and a bus; the centre of a tall vehicle's
 * box lies over a part of the road it has not reached yet.
 */
export const referencePoint = (box: Box): Point => ({ x: (box.x1 + box.x2) / 2, y: box.y2 });

/** A directed segment. */
export interface Segment {
  readonly from: Point;
  readonly to: Point;
}

/** Signed distance of `p` from the infinite line: positive to the right, seen from `from` towards `to`; NaN for a segment of no length. */
export const signedDistance = ({ from, to }: Segment, p: Point): number => {
  const dx = to.x - from.x;
  const dy = to.y - from.y;
  return (dx * (p.y - from.y) - dy * (p.x - from.x)) / Math.hypot(dx, dy);
};

/** Where `p` projects on the segment: 0 at `from`, 1 at `to`. */
export const alongSegment = ({ from, to }: Segment, p: Point): number => {
  const dx = to.x - from.x;
  const dy = to.y - from.y;
  return ((p.x - from.x) * dx + (p.y - from.y) * dy) / (dx * dx + dy * dy);
};

const edges = function* (polygon: readonly Point[]): Generator<Segment> {
  let from = polygon.at(-1);
  for (const to of polygon) {
    if (from !== undefined) yield { from, to };
    from = to;
  }
};

/** Even-odd rule; a point on an edge belongs to one of the two sides. */
export const insidePolygon = (polygon: readonly Point[], p: Point): boolean => {
  let inside = false;
  for (const { from, to } of edges(polygon)) {
    if (from.y > p.y === to.y > p.y) continue;
    if (p.x < from.x + ((p.y - from.y) / (to.y - from.y)) * (to.x - from.x)) inside = !inside;
  }
  return inside;
};

/** Distance from `p` to the nearest edge. */
export const distanceToPolygon = (polygon: readonly Point[], p: Point): number => {
  let nearest = Infinity;
  for (const edge of edges(polygon)) {
    const along = alongSegment(edge, p);
    // NaN along an edge of no length: its end is as good as any point of it.
    const t = along > 0 ? Math.min(along, 1) : 0;
    const x = edge.from.x + t * (edge.to.x - edge.from.x);
    const y = edge.from.y + t * (edge.to.y - edge.from.y);
    nearest = Math.min(nearest, Math.hypot(p.x - x, p.y - y));
  }
  return nearest;
};
