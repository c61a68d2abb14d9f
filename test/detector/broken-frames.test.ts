// 5,000 generated frames, most of them broken: none ends a detector process.
import fc from 'fast-check';
import t from 'tap';
import type { Picture, PixelFormat } from '../../src/vision/index.js';
import { encodeHeader } from '../../src/detector/index.js';
import { image, jpegOf, realGeneration, show, temporaryFolder, tinyArtifact, toFrame } from './parts.js';
import { scaled } from '../helpers/fuzz.js';

const COUNT = scaled(5_000);
const folder = temporaryFolder(t);

/** Not one colour: entropy-coded data that a flipped bit can spoil. */
const noisy = (width: number, height: number): Picture => {
  const picture = image(width, height);
  for (let at = 0; at < picture.data.length; at += 1) picture.data[at] = (at * at * 31 + at * 7) % 256;
  return jpegOf(picture);
};
const originals = [noisy(64, 64), noisy(97, 33), jpegOf(image(16, 16))];

const original = fc.constantFrom(...originals);
const side = fc.integer({ min: 1, max: 200 });
const truncated = fc.tuple(original, fc.double({ min: 0, max: 1, noNaN: true })).map(([picture, share]) => ({
  ...picture,
  data: picture.data.subarray(0, Math.max(1, Math.floor(share * picture.data.length))),
}));
const flipped = fc
  .tuple(
    original,
    fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 7 })), { minLength: 1, maxLength: 8 }),
  )
  .map(([picture, flips]) => {
    const data = Uint8Array.from(picture.data);
    for (const [at, bit] of flips) data[at % data.length] = (data[at % data.length] ?? 0) ^ (1 << bit);
    return { ...picture, data };
  });
const wrongSize = fc
  .tuple(original, side, side)
  .map(([picture, width, height]) => ({ ...picture, width, height }));
const random = fc
  .tuple(fc.uint8Array({ minLength: 1, maxLength: 400 }), side, side, fc.boolean())
  .map(([bytes, width, height, start]): Picture => ({
    format: 'jpeg',
    width,
    height,
    data: start ? Uint8Array.of(0xff, 0xd8, ...bytes) : bytes,
  }));
const raw = fc
  .tuple(fc.constantFrom<PixelFormat>('rgb24', 'yuv420'), side, side, fc.integer({ min: -2, max: 2 }))
  .map(([format, width, height, extra]): Picture => {
    const bytes =
      format === 'rgb24'
        ? 3 * width * height
        : width * height + 2 * Math.ceil(width / 2) * Math.ceil(height / 2);
    return { format, width, height, data: new Uint8Array(Math.max(1, bytes + extra)) };
  });

t.test(`${COUNT} broken frames: each is dropped or answered, no process ends`, async (t) => {
  const target = realGeneration(
    tinyArtifact(folder, { boxes: [{ x1: 8, y1: 8, x2: 40, y2: 40, classId: 0, score: 0.75 }] }),
  );
  t.teardown(() => target.stop());
  await target.start();
  const counts = { result: 0, dropped: 0, refused: 0 };
  const frames = fc.sample(fc.oneof(truncated, flipped, wrongSize, random, raw), {
    numRuns: COUNT,
    seed: 20_251,
  });
  for (const [index, picture] of frames.entries()) {
    try {
      encodeHeader(toFrame(picture));
    } catch (error) {
      // What breaks its own size is refused before it crosses.
      t.match(error, { code: 'BAD_FRAME' });
      counts.refused += 1;
      continue;
    }
    const answer = await show(target, picture);
    if (answer.type === 'failed') {
      t.fail(`frame ${index} ended the process: ${answer.message}`);
      return;
    }
    counts[answer.type] += 1;
  }
  t.equal(counts.result + counts.dropped + counts.refused, COUNT);
  for (const [what, count] of Object.entries(counts)) t.ok(count > 100, `${what}: ${count}`);
  const [good] = originals;
  if (good !== undefined) t.match(await show(target, good), { type: 'result' });
});
