// Heads: how a model's outputs become boxes.
import type { DetectorSpec } from '../../registry/index.js';
import { EndToEndHead } from './endToEnd.js';
import { GflHead } from './gfl.js';
import type { Head } from './head.js';
import { YoloxHead } from './yolox.js';
import { Yolov8Head } from './yolov8.js';

export { type Grid, makeGrid } from './grid.js';
export type { Decoded, Head, Labels } from './head.js';

/**
 * The head that a manifest describes.
 * @throws BitlaneError `BAD_MODEL` when the description contradicts itself
 */
export const createHead = (spec: DetectorSpec): Head => {
  const { head } = spec;
  switch (head.type) {
    case 'yolox':
      return new YoloxHead(head, spec);
    case 'yolov8':
      return new Yolov8Head(head, spec);
    case 'end-to-end':
      return new EndToEndHead(head, spec);
    case 'gfl':
      return new GflHead(head, spec);
  }
};
