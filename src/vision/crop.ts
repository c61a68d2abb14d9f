// A part of a picture.
import type { Box, RgbImage } from './types.js';

/** The smallest region of whole pixels that holds `box`, clipped to the picture; at least a pixel where the box lies inside. */
export const regionOf = (box: Box, { width, height }: Pick<RgbImage, 'width' | 'height'>): Box => ({
  x1: Math.min(Math.max(Math.floor(box.x1), 0), width),
  y1: Math.min(Math.max(Math.floor(box.y1), 0), height),
  x2: Math.min(Math.max(Math.ceil(box.x2), 0), width),
  y2: Math.min(Math.max(Math.ceil(box.y2), 0), height),
});

/** Copies a region of whole pixels that lies inside the picture. */
export const cropImage = (image: RgbImage, { x1, y1, x2, y2 }: Box): RgbImage => {
  const [width, height] = [x2 - x1, y2 - y1];
  const data = new Uint8Array(3 * width * height);
  for (let row = 0; row < height; row += 1) {
    const from = 3 * ((y1 + row) * image.width + x1);
    data.set(image.data.subarray(from, from + 3 * width), 3 * row * width);
  }
  return { format: 'rgb24', width, height, data };
};
