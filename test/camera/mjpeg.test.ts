import fc from 'fast-check';
import t from 'tap';
import { MjpegSplitter } from '../../src/camera/mjpeg.js';
import { encodeJpeg } from '../../src/vision/index.js';

const size = { width: 40, height: 24 };
const picture = (seed: number): Buffer => {
  const data = Uint8Array.from({ length: size.width * size.height * 3 }, (_, i) => (i * seed * 7919) % 251);
  return Buffer.from(encodeJpeg({ format: 'rgb24', ...size, data }, 80));
};
const [a, b, c] = [picture(1), picture(2), picture(3)];
/** A picture with a whole JPEG as thumbnail in an APP1 segment, as cameras write it. */
const withThumbnail = (outer: Buffer, inner: Buffer): Buffer => {
  const head = Buffer.from([0xff, 0xe1, 0, 0]);
  head.writeUInt16BE(inner.length + 2, 2);
  return Buffer.concat([outer.subarray(0, 2), head, inner, outer.subarray(2)]);
};

const split = (stream: Buffer, cuts: readonly number[], max?: number) => {
  const splitter = new MjpegSplitter(max);
  const items: (string | Buffer)[] = [];
  const places = [...new Set(cuts.map((cut) => cut % (stream.length + 1)))].sort((x, y) => x - y);
  let from = 0;
  const take = (all: Iterable<{ data: Uint8Array } | { bad: string }>): void => {
    for (const item of all) items.push('bad' in item ? item.bad : Buffer.from(item.data));
  };
  for (const to of [...places, stream.length]) {
    take(splitter.push(stream.subarray(from, to)));
    from = to;
  }
  take(splitter.end());
  return items;
};
const cuts = fc.array(fc.nat({ max: 100_000 }), { maxLength: 40 });

t.test('pictures come out as they went in, wherever the stream is cut', async (t) => {
  const nested = withThumbnail(b, c);
  const padding = Buffer.from([0, 0, 0xff, 0xff]);
  const boundary = Buffer.from('\r\n--frame\r\nContent-Type: image/jpeg\r\n\r\n');
  const stream = Buffer.concat([boundary, a, nested, padding, c, boundary, a]);
  fc.assert(
    fc.property(cuts, (places) => {
      const items = split(stream, places);
      return items.length === 4 && [a, nested, c, a].every((want, i) => want.equals(items[i] as Buffer));
    }),
  );
  t.same(
    split(
      stream,
      Array.from({ length: stream.length }, (_, i) => i),
    ).length,
    4,
    'byte by byte',
  );
});

t.test('a torn picture costs itself and not the ones around it', async (t) => {
  // Torn inside a header, a segment's length reaches into the next picture, and may end where that one's next segment begins: then
  // two look like one, and only the pictures around both are certain.
  const scan = b.indexOf(Buffer.from([0xff, 0xda])) + 16;
  const holds = (kept: number, places: number[]): boolean => {
    const items = split(Buffer.concat([a, b.subarray(0, kept), c, a]), places);
    const whole = items.filter((item): item is Buffer => typeof item !== 'string');
    const around = a.equals(whole[0] ?? c) && a.equals(whole.at(-1) ?? c) && whole.length >= 2;
    if (kept < scan) return around;
    return around && items.length > whole.length && whole.length === 3 && c.equals(whole[1] ?? a);
  };
  fc.assert(fc.property(fc.integer({ min: 2, max: b.length - 3 }), cuts, holds), { numRuns: 300 });
  t.match(split(a.subarray(0, 300), []), ['stops before its end']);
});

t.test('nothing that is fed to it makes it throw or hold more than its bound', async (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 5_000 }), cuts, (bytes, places) => {
      const stream = Buffer.concat([Buffer.from([0xff, 0xd8]), bytes]);
      return split(stream, places).every((item) => typeof item === 'string' || item.length >= 4);
    }),
  );
  const endless = Buffer.concat([a.subarray(0, -2), Buffer.alloc(20_000, 1), c]);
  const items = split(endless, [5_000, 10_000, 15_000], 8_000);
  t.match(items[0], /is larger than 8000 bytes/);
  t.ok(c.equals(items.at(-1) as Buffer), 'the next picture is found');
});
