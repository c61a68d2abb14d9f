import fc from 'fast-check';
import t from 'tap';
import { FrameCutter, yuvBytes } from '../../src/camera/frame-cutter.js';

const side = fc.integer({ min: 1, max: 24 }).map((n) => 2 * n);

t.test('frames are the middle columns of what is in the stream, however it is cut', async (t) => {
  let padded = 0;
  fc.assert(
    fc.property(
      side,
      side,
      fc.nat({ max: 20 }),
      fc.integer({ min: 1, max: 4 }),
      fc.integer({ min: 1, max: 3_000 }),
      (width, height, extra, count, chunk) => {
        const streamWidth = width + 2 * extra;
        if (extra > 0) padded += 1;
        const cutter = new FrameCutter({ width, height }, streamWidth);
        const stream = Buffer.from(
          Uint8Array.from({ length: count * cutter.bytes + 5 }, (_, i) => (i * 31 + (i >> 8)) % 256),
        );
        const frames: Uint8Array[] = [];
        for (let at = 0; at < stream.length; at += chunk) {
          frames.push(...cutter.push(stream.subarray(at, at + chunk)));
        }
        const left = 2 * Math.floor(extra / 2);
        // Read back pixel by pixel, by the definition of planar 4:2:0.
        const pixel = (n: number, plane: 0 | 1 | 2, x: number, y: number): number | undefined => {
          const [rowLength, first] = plane === 0 ? [streamWidth, left] : [streamWidth / 2, left / 2];
          const start = plane === 0 ? 0 : streamWidth * height + ((plane - 1) * streamWidth * height) / 4;
          return stream[n * cutter.bytes + start + y * rowLength + first + x];
        };
        const expected = (n: number): number[] => {
          const bytes: number[] = [];
          for (const plane of [0, 1, 2] as const) {
            const [columns, rows] = plane === 0 ? [width, height] : [width / 2, height / 2];
            for (let y = 0; y < rows; y += 1) {
              for (let x = 0; x < columns; x += 1) bytes.push(pixel(n, plane, x, y) ?? -1);
            }
          }
          return bytes;
        };
        return (
          frames.length === count &&
          cutter.partial === 5 % cutter.bytes &&
          frames.every(
            (frame, n) =>
              frame.length === yuvBytes({ width, height }) &&
              Buffer.from(expected(n)).equals(Buffer.from(frame)),
          )
        );
      },
    ),
    { numRuns: 60 },
  );
  t.ok(padded > 0, 'wider streams were among them');
});
