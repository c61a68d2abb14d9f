import fc from 'fast-check';
import t from 'tap';
import { applyMasks, type MaskPolygon, type RgbImage } from '../../src/vision/index.js';

const white = (width: number, height: number): RgbImage => ({
  format: 'rgb24',
  width,
  height,
  data: new Uint8Array(3 * width * height).fill(255),
});

const isBlack = ({ data, width }: RgbImage, x: number, y: number): boolean =>
  [0, 1, 2].every((channel) => data[3 * (y * width + x) + channel] === 0);

/** Ray casting, a pixel's middle at a time. */
const isInside = (polygon: MaskPolygon, x: number, y: number): boolean => {
  let inside = false;
  for (let i = 0, j = polygon.length - 1; i < polygon.length; j = i++) {
    const [xi, yi] = polygon[i] ?? [0, 0];
    const [xj, yj] = polygon[j] ?? [0, 0];
    if (yi > y !== yj > y && x < ((xj - xi) * (y - yi)) / (yj - yi) + xi) inside = !inside;
  }
  return inside;
};

t.test('a rectangle is black, the rest and the original stay', async (t) => {
  const image = white(20, 10);
  const masked = applyMasks(image, [
    [
      [0.25, 0.2],
      [0.75, 0.2],
      [0.75, 0.8],
      [0.25, 0.8],
    ],
  ]);
  for (let y = 0; y < 10; y += 1) {
    for (let x = 0; x < 20; x += 1) {
      t.equal(isBlack(masked, x, y), x >= 5 && x < 15 && y >= 2 && y < 8, `${x}, ${y}`);
    }
  }
  t.equal(
    image.data.every((value) => value === 255),
    true,
  );
});

t.test('whatever has its middle in the polygon is hidden; nothing far from it is', async (t) => {
  const corner = fc.tuple(
    fc.double({ min: 0, max: 1, noNaN: true }),
    fc.double({ min: 0, max: 1, noNaN: true }),
  );
  const holds = (): void =>
    fc.assert(
      fc.property(fc.array(corner, { minLength: 3, maxLength: 8 }), (polygon) => {
        const [width, height] = [31, 23];
        const masked = applyMasks(white(width, height), [polygon]);
        const inside = (x: number, y: number): boolean => isInside(polygon, x / width, y / height);
        for (let y = 0; y < height; y += 1) {
          for (let x = 0; x < width; x += 1) {
            if (inside(x + 0.5, y + 0.5) && !isBlack(masked, x, y)) return false;
            if (!isBlack(masked, x, y)) continue;
            // A black pixel is touched: somewhere in it or on its edge there is a piece of the polygon.
            const xs = polygon.map(([px]) => px * width);
            const ys = polygon.map(([, py]) => py * height);
            if (x + 1 < Math.min(...xs) - 1 || x > Math.max(...xs) + 1) return false;
            if (y + 1 < Math.min(...ys) - 1 || y > Math.max(...ys) + 1) return false;
          }
        }
        return true;
      }),
      { numRuns: 200 },
    );
  t.doesNotThrow(holds);
});

t.test('no polygons: the same picture', async (t) => {
  const image = white(4, 4);
  t.same(applyMasks(image, []).data, image.data);
});
