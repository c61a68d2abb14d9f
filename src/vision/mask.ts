// Privacy masks: regions of a picture that are blacked out before it is stored or sent.
import { frameToRgb } from './picture.js';
import type { Picture, RgbImage } from './types.js';

/** Corners as shares of width and height, 0..1 from the top left. */
export type MaskPolygon = readonly (readonly [number, number])[];

/** Where a polygon's edges cross the middle of a row, in pixels, rising. */
const crossings = (polygon: MaskPolygon, image: RgbImage, y: number): number[] => {
  const found: number[] = [];
  for (const [index, [x1, y1]] of polygon.entries()) {
    const [x2, y2] = polygon[(index + 1) % polygon.length] ?? [x1, y1];
    const [top, bottom] = [y1 * image.height, y2 * image.height];
    if (top <= y === bottom <= y) continue;
    found.push((x1 + ((y - top) / (bottom - top)) * (x2 - x1)) * image.width);
  }
  return found.sort((a, b) => a - b);
};

/**
 * The picture with every polygon filled with black (even-odd rule); a copy, the original stays. Pixels that a polygon only touches
 * are filled too: a mask hides rather too much than too little.
 */
export const applyMasks = (image: RgbImage, polygons: readonly MaskPolygon[]): RgbImage => {
  const data = Uint8Array.from(image.data);
  for (const polygon of polygons) {
    for (let row = 0; row < image.height; row += 1) {
      for (const y of [row + 0.001, row + 0.5, row + 0.999]) {
        const xs = crossings(polygon, image, y);
        for (let pair = 0; pair + 1 < xs.length; pair += 2) {
          const from = Math.max(0, Math.floor(xs[pair] ?? 0));
          const to = Math.min(image.width, Math.ceil(xs[pair + 1] ?? 0));
          if (to > from) data.fill(0, 3 * (row * image.width + from), 3 * (row * image.width + to));
        }
      }
    }
  }
  return { ...image, data };
};

/**
 * A frame as it may be stored or sent: RGB, masked. The one way in which pictures leave the frame path.
 * @throws BAD_FRAME where the frame's bytes are not what it says they are
 */
export const maskedRgb = (picture: Picture, polygons: readonly MaskPolygon[]): RgbImage =>
  applyMasks(frameToRgb(picture), polygons);
