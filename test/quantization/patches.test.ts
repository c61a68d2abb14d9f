// Patches of a layer's input: against the definition, and sampled alike on both sides.
import fc from 'fast-check';
import t from 'tap';
import { PatchMatrix } from '../../src/quantization/index.js';
import { gauss, seed, sumOf } from './random.js';

/** Every patch of a convolution, as the definition says. */
const patchesOf = (
  values: Float32Array,
  { shape }: PatchMatrix,
  [count, height, width]: readonly [number, number, number],
): number[][][] => {
  const { channels, kernel, stride, pads, dilation, groups } = shape;
  const patches: number[][][] = Array.from({ length: groups }, () => []);
  for (let n = 0; n < count; n++) {
    for (let y = -pads[0]; y + dilation[0] * (kernel[0] - 1) < height + pads[2]; y += stride[0]) {
      for (let x = -pads[1]; x + dilation[1] * (kernel[1] - 1) < width + pads[3]; x += stride[1]) {
        for (let g = 0; g < groups; g++) {
          const patch: number[] = [];
          for (let c = (g * channels) / groups; c < ((g + 1) * channels) / groups; c++) {
            for (let ky = 0; ky < kernel[0]; ky++) {
              for (let kx = 0; kx < kernel[1]; kx++) {
                const [row, column] = [y + ky * dilation[0], x + kx * dilation[1]];
                const inside = row >= 0 && row < height && column >= 0 && column < width;
                patch.push(inside ? (values[((n * channels + c) * height + row) * width + column] ?? 0) : 0);
              }
            }
          }
          patches[g]?.push(patch);
        }
      }
    }
  }
  return patches;
};

const pair = (min: number, max: number): fc.Arbitrary<[number, number]> =>
  fc.tuple(fc.integer({ min, max }), fc.integer({ min, max }));

t.test('a matrix of all patches, whatever the convolution', async () => {
  fc.assert(
    fc.property(
      fc.record({
        groups: fc.constantFrom(1, 2, 6),
        kernel: pair(1, 4),
        stride: pair(1, 3),
        dilation: pair(1, 2),
        pads: fc
          .tuple(pair(0, 2), pair(0, 2))
          .map(([a, b]): [number, number, number, number] => [...a, ...b]),
      }),
      fc.tuple(
        fc.integer({ min: 1, max: 3 }),
        fc.integer({ min: 7, max: 11 }),
        fc.integer({ min: 7, max: 11 }),
      ),
      seed,
      (shape, [count, height, width], from) => {
        const matrix = new PatchMatrix({ ...shape, channels: 6 }, 1000, 1000);
        const values = gauss(count * 6 * height * width, from);
        // In two calls where there are two pictures.
        const cut = Math.floor(count / 2) * 6 * height * width;
        if (cut > 0) matrix.observe(values.subarray(0, cut), height, width);
        matrix.observe(values.subarray(cut), height, width);
        const patches = patchesOf(values, matrix, [count, height, width]);
        const size = matrix.size / shape.groups;
        if (matrix.filled !== patches[0]?.length) return false;
        return patches.every((list, g) =>
          list.every((patch, n) =>
            patch.every((value, i) => matrix.values[(g * size + i) * matrix.samples + n] === value),
          ),
        );
      },
    ),
    { numRuns: 80 },
  );
});

t.test('samples: the same places in every matrix, and means taken off', async (t) => {
  const fill = (offset: number): PatchMatrix => {
    const matrix = new PatchMatrix({ channels: 4, kernel: [1, 1] }, 10 * 16, 16);
    for (let n = 0; n < 10; n++) {
      const picture = Float32Array.from({ length: 4 * 400 }, (_, i) => (i % 400) + offset);
      matrix.observe(picture, 20, 20);
    }
    return matrix;
  };
  const [one, other] = [fill(0), fill(1000)];
  t.equal(one.filled, 160);
  t.ok(
    one.values.every((value, i) => (other.values[i] ?? 0) - value === 1000),
    'the same places',
  );
  t.ok(new Set(one.values).size > 100, 'other places in other pictures');
  const means = one.centre();
  t.ok(
    means.every((mean) => mean > 150 && mean < 250),
    `means ${means.join(', ')}`,
  );
  t.ok(Math.abs(sumOf(one.values)) < 0.1);
  t.throws(() => one.observe(new Float32Array(5), 20, 20), { code: 'INTERNAL' });
});
