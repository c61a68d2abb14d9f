import fc from 'fast-check';
import t from 'tap';
import { encodeHeader, FrameReader, HEADER_BYTES, rawBytes } from '../../src/detector/index.js';
import { BitlaneError } from '../../src/errors.js';
import type { Frame, PixelFormat, YuvColour } from '../../src/vision/index.js';

const frames: fc.Arbitrary<Frame> = fc
  .record({
    seq: fc.nat(),
    receivedAtMs: fc.double({ min: 0, max: 1e12, noNaN: true }),
    wallMs: fc.nat(),
    format: fc.constantFrom<PixelFormat>('jpeg', 'yuv420', 'rgb24'),
    width: fc.integer({ min: 1, max: 40 }),
    height: fc.integer({ min: 1, max: 40 }),
    size: fc.integer({ min: 1, max: 5_000 }),
    fill: fc.nat(255),
    colour: fc.constantFrom<YuvColour | undefined>(
      undefined,
      'bt601-full',
      'bt601-limited',
      'bt709-full',
      'bt709-limited',
    ),
  })
  .map(({ size, fill, colour, ...frame }) => ({
    ...frame,
    ...(colour === undefined ? {} : { colour }),
    data: new Uint8Array(rawBytes(frame.format, frame.width, frame.height) ?? size).map(
      (_, i) => i * 7 + fill,
    ),
  }));

const streamOf = (list: readonly Frame[]): Uint8Array =>
  Buffer.concat(list.flatMap((frame) => [encodeHeader(frame), frame.data]));

const readAll = (stream: Uint8Array, cuts: readonly number[]): { frames: Frame[]; reader: FrameReader } => {
  const found: Frame[] = [];
  const reader = new FrameReader((frame) => found.push(frame));
  let at = 0;
  for (const cut of [...cuts, stream.byteLength]) {
    const end = Math.min(stream.byteLength, at + cut);
    reader.push(stream.subarray(at, end));
    at = end;
  }
  return { frames: found, reader };
};

t.test('frames come back as they went in, however the stream is cut', async (t) => {
  fc.assert(
    fc.property(
      fc.array(frames, { maxLength: 5 }),
      fc.array(fc.integer({ min: 0, max: 300 })),
      (list, cuts) => {
        const { frames: found, reader } = readAll(streamOf(list), cuts);
        t.strictSame(
          found.map((frame) => ({ ...frame, data: Buffer.from(frame.data).toString('hex') })),
          list.map((frame) => ({ ...frame, data: Buffer.from(frame.data).toString('hex') })),
        );
        t.equal(reader.atBoundary, true);
      },
    ),
    { numRuns: 200 },
  );
});

t.test('a stream that ends inside a frame is known to be torn', async (t) => {
  fc.assert(
    fc.property(frames, fc.nat(), (frame, cut) => {
      const stream = streamOf([frame]);
      const { frames: found, reader } = readAll(stream.subarray(0, 1 + (cut % (stream.byteLength - 1))), []);
      t.strictSame(found, []);
      t.equal(reader.atBoundary, false);
    }),
    { numRuns: 200 },
  );
});

t.test('a broken header is refused with BAD_FRAME before anything is allocated for it', async (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: HEADER_BYTES, maxLength: 400 }), (bytes) => {
      const reader = new FrameReader(() => t.fail('noise is no frame'));
      t.throws(() => reader.push(bytes), { code: 'BAD_FRAME' });
      t.throws(() => reader.push(bytes), { code: 'BAD_FRAME' }, 'a broken stream stays broken');
    }),
    { numRuns: 500 },
  );
});

t.test('a frame whose bytes do not fit its size is refused at the door', async (t) => {
  const frame = { seq: 0, receivedAtMs: 0, wallMs: 0, format: 'yuv420', width: 64, height: 48 } as const;
  t.equal(rawBytes('yuv420', 64, 48), 4_608);
  for (const bytes of [0, 4_607, 4_609]) {
    t.throws(() => encodeHeader({ ...frame, data: new Uint8Array(bytes) }), BitlaneError);
  }
  t.throws(
    () => encodeHeader({ ...frame, width: 0, data: new Uint8Array(1) }),
    /width must be a whole number/,
  );
});
