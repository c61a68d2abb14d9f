import fc from 'fast-check';
import sharp from 'sharp';
import t from 'tap';
import { BitlaneError } from '../../src/errors.js';
import {
  boxArea,
  clipBox,
  decodeImage,
  decodeJpeg,
  encodeJpeg,
  frameToRgb,
  iou,
  Preprocessor,
  readJpegSize,
  toFrame,
  toInput,
} from '../../src/vision/index.js';
import { letterboxTransform, placeFrame } from '../../src/vision/letterbox.js';
import { scaled } from '../helpers/fuzz.js';

const smooth = (width: number, height: number) => ({
  format: 'rgb24' as const,
  width,
  height,
  data: Uint8Array.from({ length: 3 * width * height }, (_, at) => {
    const [c, x, y] = [at % 3, Math.floor(at / 3) % width, Math.floor(at / 3 / width)];
    return 128 + 100 * Math.sin((x * (c + 1)) / 17 + y / 23);
  }),
});
const picture = smooth(75, 51);
const meanDifference = (a: ArrayLike<number>, b: ArrayLike<number>): number => {
  let sum = a.length === b.length ? 0 : Infinity;
  for (let at = 0; at < a.length; at += 1) sum += Math.abs((a[at] ?? NaN) - (b[at] ?? NaN));
  return sum / a.length;
};
const codeOf = (work: () => unknown): string => {
  try {
    work();
    return 'decoded';
  } catch (error) {
    if (error instanceof BitlaneError) return error.code;
    throw error;
  }
};

t.test('decodes as sharp does, and comes back as it was encoded', async (t) => {
  const jpeg = encodeJpeg(picture, 95);
  t.same(readJpegSize(jpeg), { width: 75, height: 51, components: 3 });
  t.ok(meanDifference(decodeJpeg(jpeg).data, picture.data) < 4);
  const source = sharp(picture.data, { raw: { width: 75, height: 51, channels: 3 } });
  for (const options of [
    { quality: 90 },
    { quality: 50, progressive: true },
    { chromaSubsampling: '4:4:4' },
  ]) {
    const bytes = await source.clone().jpeg(options).toBuffer();
    const theirs = await sharp(bytes).raw().toBuffer();
    t.ok(meanDifference(decodeJpeg(bytes).data, theirs) < 1.5, JSON.stringify(options));
    t.same(frameToRgb({ format: 'jpeg', width: 75, height: 51, data: bytes }).data, decodeJpeg(bytes).data);
  }
  const grey = await source.clone().greyscale().jpeg().toBuffer();
  t.match(decodeJpeg(grey), { width: 75, height: 51 });
  const png = await decodeImage(await source.clone().png().toBuffer(), 'a.png');
  t.same(Buffer.from(png.data), Buffer.from(picture.data));
  const cmyk = await source.clone().toColourspace('cmyk').jpeg().toBuffer();
  t.equal(
    codeOf(() => decodeJpeg(cmyk)),
    'BAD_FRAME',
  );
  t.match(await decodeImage(cmyk, 'cmyk.jpg'), { width: 75, height: 51 });
  await t.rejects(decodeImage(Buffer.from('hello'), 'a.png'), { code: 'BAD_FRAME', message: /^a\.png / });
});

t.test('5,000 truncated, flipped, spliced and random pictures are decoded or refused', async (t) => {
  const raw = sharp(picture.data, { raw: { width: 75, height: 51, channels: 3 } });
  const seeds = [
    encodeJpeg(picture, 80),
    new Uint8Array(await raw.clone().jpeg({ progressive: true }).toBuffer()),
    new Uint8Array(await raw.clone().greyscale().jpeg().toBuffer()),
  ];
  const seed = fc.constantFrom(...seeds);
  const truncated = fc.tuple(seed, fc.nat()).map(([bytes, at]) => bytes.subarray(0, at % bytes.length));
  const flipped = fc
    .tuple(seed, fc.array(fc.tuple(fc.nat(), fc.nat(7)), { minLength: 1, maxLength: 6 }), fc.boolean())
    .map(([bytes, flips, inHeader]) => {
      const copy = bytes.slice();
      for (const [at, bit] of flips) {
        const index = at % (inHeader ? 200 : copy.length);
        copy[index] = (copy[index] ?? 0) ^ (1 << bit);
      }
      return copy;
    });
  const spliced = fc
    .tuple(seed, seed, fc.nat(), fc.nat())
    .map(([a, b, i, j]) => Buffer.concat([a.subarray(0, i % a.length), b.subarray(j % b.length)]));
  const random = fc.uint8Array({ maxLength: 300 });
  const headed = random.map((bytes) => Uint8Array.of(0xff, 0xd8, 0xff, 0xc0, ...bytes, 0xff, 0xd9));
  const preprocessor = new Preprocessor();
  const input = {
    name: 'x',
    width: 32,
    height: 32,
    colourOrder: 'rgb',
    mean: [0, 0, 0],
    scale: [1, 1, 1],
    letterbox: 'centre',
    pad: 0,
  } as const;
  const out = preprocessor.tensor({ ...input, mean: [0, 0, 0], scale: [1, 1, 1] });
  const seen: Record<string, number> = {};
  const run = (bytes: fc.Arbitrary<Uint8Array>, numRuns: number, mustFail = false): void =>
    fc.assert(
      fc.property(bytes, (data) => {
        // A flipped size may ask for a picture of 64 million pixels: that is its right, but not this test's time.
        const size = readJpegSize(data);
        if (!('fault' in size) && size.width * size.height > 4_000_000) return true;
        const code = codeOf(() => decodeJpeg(data));
        seen[code] = (seen[code] ?? 0) + 1;
        const asFrame = codeOf(() =>
          preprocessor.preprocess(
            { format: 'jpeg', width: 75, height: 51, data },
            { ...input, mean: [0, 0, 0], scale: [1, 1, 1] },
            out,
          ),
        );
        return (
          ['decoded', 'BAD_FRAME'].includes(code) &&
          ['decoded', 'BAD_FRAME'].includes(asFrame) &&
          !(mustFail && code === 'decoded')
        );
      }),
      { numRuns: scaled(numRuns) },
    );
  run(truncated, 1_000, true);
  run(flipped, 2_000);
  run(spliced, 1_000);
  run(random, 500, true);
  run(headed, 500);
  t.ok((seen['BAD_FRAME'] ?? 0) > 2_000 && (seen['decoded'] ?? 0) > 100, JSON.stringify(seen));
});

t.test('what encodes badly is refused', async (t) => {
  for (const quality of [0, 101, 50.5, NaN])
    t.throws(() => encodeJpeg(picture, quality), { code: 'BAD_USAGE' });
  for (const change of [{ width: 76 }, { width: 0 }, { height: NaN }, { data: new Uint8Array(3) }]) {
    t.throws(() => encodeJpeg({ ...picture, ...change }, 80), { code: 'BAD_FRAME' });
  }
});

t.test('boxes go to the input and back', async () => {
  const fraction = fc.double({ min: 0, max: 1, noNaN: true });
  fc.assert(
    fc.property(
      fc.record({
        width: fc.integer({ min: 32, max: 1_280 }),
        height: fc.integer({ min: 32, max: 1_280 }),
        letterbox: fc.constantFrom('top-left' as const, 'centre' as const, 'stretch' as const),
      }),
      fc.integer({ min: 1, max: 4_000 }),
      fc.integer({ min: 1, max: 4_000 }),
      fc.tuple(fraction, fraction, fraction, fraction),
      (input, width, height, [a, b, c, d]) => {
        const placement = placeFrame(input, width, height);
        if (placement.left < 0 || placement.top < 0 || placement.width < 1 || placement.height < 1)
          return false;
        if (placement.left + placement.width > input.width || placement.top + placement.height > input.height)
          return false;
        const transform = letterboxTransform(placement, width, height);
        const box = {
          x1: Math.min(a, b) * width,
          y1: Math.min(c, d) * height,
          x2: Math.max(a, b) * width,
          y2: Math.max(c, d) * height,
        };
        const back = toFrame(toInput(box, transform), transform, { width, height });
        return (['x1', 'y1', 'x2', 'y2'] as const).every(
          (key) => Math.abs(back[key] - box[key]) < 1e-6 * Math.max(width, height),
        );
      },
    ),
    { numRuns: 1_000 },
  );
});

t.test('overlap of boxes', async (t) => {
  const box = (x1: number, y1: number, x2: number, y2: number) => ({ x1, y1, x2, y2 });
  t.equal(iou(box(0, 0, 2, 2), box(1, 1, 3, 3)), 1 / 7);
  t.equal(iou(box(0, 0, 2, 2), box(0, 0, 2, 2)), 1);
  t.equal(iou(box(0, 0, 1, 1), box(1, 0, 2, 1)), 0, 'touching is not overlapping');
  t.equal(iou(box(1, 1, 1, 1), box(1, 1, 1, 1)), 0);
  t.equal(boxArea(box(3, 3, 1, 1)), 0);
  t.same(clipBox(box(-5, 2, 50, 99), 20, 10), box(0, 2, 20, 10));
});
