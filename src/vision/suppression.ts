// Non-maximum suppression: of boxes of one class that overlap, the best stays.
import type { Detection } from './types.js';

export interface SuppressionOptions {
  /** A box that overlaps a better one of its class by more than this goes; 1 suppresses nothing. */
  readonly iouThreshold: number;
  /** Boxes that stay at most, of all classes. */
  readonly maxDetections: number;
}

/** Boxes looked at, best first: bounds the work on a picture that is full of them. */
export const MAX_CANDIDATES = 3000;

/** The best `MAX_CANDIDATES` detections, best first; equal scores keep their order. */
const candidatesOf = (detections: readonly Detection[]): readonly Detection[] =>
  [...detections].sort((a, b) => b.score - a.score).slice(0, MAX_CANDIDATES);

/**
 * Greedy and by class. Deterministic: the result is best first, and among equal scores the earlier one wins.
 * @param detections finite boxes, x1 <= x2 and y1 <= y2, in any order
 */
export const nonMaxSuppression = (
  detections: readonly Detection[],
  { iouThreshold, maxDetections }: SuppressionOptions,
): Detection[] => {
  const candidates = candidatesOf(detections);
  const kept: Detection[] = [];
  const areas = new Float64Array(Math.min(maxDetections, candidates.length));
  for (const candidate of candidates) {
    if (kept.length >= maxDetections) break;
    const { x1, y1, x2, y2, classId } = candidate;
    const area = (x2 - x1) * (y2 - y1);
    let suppressed = false;
    for (let i = 0; i < kept.length && !suppressed; i += 1) {
      const better = kept[i];
      if (better?.classId !== classId) continue;
      const width = Math.min(x2, better.x2) - Math.max(x1, better.x1);
      const height = Math.min(y2, better.y2) - Math.max(y1, better.y1);
      if (width <= 0 || height <= 0) continue;
      const shared = width * height;
      suppressed = shared > iouThreshold * (area + (areas[i] ?? 0) - shared);
    }
    if (suppressed) continue;
    areas[kept.length] = area;
    kept.push(candidate);
  }
  return kept;
};
