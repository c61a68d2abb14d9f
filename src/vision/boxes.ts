// Boxes: area, overlap, clipping.
import type { Box } from './types.js';

/** Area in square pixels; 0 for a box that is empty or turned inside out. */
export const boxArea = (box: Box): number => Math.max(0, box.x2 - box.x1) * Math.max(0, box.y2 - box.y1);

/** Area that both boxes cover. */
export const intersection = (a: Box, b: Box): number =>
  Math.max(0, Math.min(a.x2, b.x2) - Math.max(a.x1, b.x1)) *
  Math.max(0, Math.min(a.y2, b.y2) - Math.max(a.y1, b.y1));

/** Intersection over union, 0..1; 0 where both boxes are empty. */
export const iou = (a: Box, b: Box): number => {
  const shared = intersection(a, b);
  const union = boxArea(a) + boxArea(b) - shared;
  return union > 0 ? shared / union : 0;
};

/** The part of `box` inside a frame of `width` x `height` pixels. */
export const clipBox = (box: Box, width: number, height: number): Box => ({
  x1: Math.min(Math.max(box.x1, 0), width),
  y1: Math.min(Math.max(box.y1, 0), height),
  x2: Math.min(Math.max(box.x2, 0), width),
  y2: Math.min(Math.max(box.y2, 0), height),
});

/** The middle of a box. */
export const boxCentre = (box: Box): { x: number; y: number } => ({
  x: (box.x1 + box.x2) / 2,
  y: (box.y1 + box.y2) / 2,
});
