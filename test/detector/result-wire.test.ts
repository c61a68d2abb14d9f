import fc from 'fast-check';
import t from 'tap';
import { encodeSeen, ROW, type Seen, SeenReader } from '../../src/detector/index.js';

const real = fc.double({ noNaN: true, noDefaultInfinity: true });
const share = fc.double({ min: 0, max: 1, noNaN: true });
const milliseconds = fc.double({ min: 0, max: 1e9, noNaN: true });
const row = fc
  .tuple(real, real, real, real, fc.nat(), share, fc.integer({ min: -1, max: 99 }), share)
  .map((values): number[] => [...values]);
const plain = { noNullPrototype: true };
const answers: fc.Arbitrary<Seen> = fc.record(
  {
    seq: fc.maxSafeNat(),
    rows: fc.array(row, { maxLength: 8 }).map((rows) => rows.flat()),
    nonFinite: fc.nat(),
    timings: fc.record(
      { preprocessMs: milliseconds, inferenceMs: milliseconds, postprocessMs: milliseconds },
      plain,
    ),
  },
  plain,
);

const readAll = (stream: Uint8Array, cuts: readonly number[]): Seen[] => {
  const found: Seen[] = [];
  const reader = new SeenReader((seen) => found.push(seen));
  let at = 0;
  for (const cut of [...cuts, stream.byteLength]) {
    const end = Math.min(stream.byteLength, at + cut);
    reader.push(stream.subarray(at, end));
    at = end;
  }
  return found;
};

t.test('answers come back as they went in, however the stream is cut', async (t) => {
  fc.assert(
    fc.property(
      fc.array(answers, { maxLength: 5 }),
      fc.array(fc.integer({ min: 0, max: 90 })),
      (list, cuts) => {
        t.strictSame(readAll(Buffer.concat(list.map(encodeSeen)), cuts), list);
      },
    ),
  );
});

t.test('an answer that breaks the protocol is refused', async (t) => {
  const timings = { preprocessMs: 0, inferenceMs: 0, postprocessMs: 0 };
  const good: Seen = { seq: 1, rows: [0, 0, 1, 1, 2, 0.5, 1, 0.25], nonFinite: 0, timings };
  t.same(readAll(encodeSeen(good), []), [good]);
  const spoilt: readonly (readonly [Partial<Seen>, RegExp])[] = [
    [{ seq: -1 }, /counts wrongly/],
    [{ seq: 0.5 }, /counts wrongly/],
    [{ seq: NaN }, /counts wrongly/],
    [{ nonFinite: -1 }, /counts wrongly/],
    [{ timings: { ...timings, inferenceMs: NaN } }, /impossible timings/],
    [{ timings: { ...timings, preprocessMs: -1 } }, /impossible timings/],
    [{ rows: [0, 0, 1, NaN, 2, 0.5, 1, 0.25] }, /breaks the protocol/],
    [{ rows: [0, 0, 1, 1, 1.5, 0.5, 1, 0.25] }, /breaks the protocol/],
    [{ rows: [0, 0, 1, 1, -1, 0.5, 1, 0.25] }, /breaks the protocol/],
    [{ rows: [0, 0, 1, 1, 2, 1.5, 1, 0.25] }, /breaks the protocol/],
    [{ rows: [0, 0, 1, 1, 2, 0.5, -2, 0.25] }, /breaks the protocol/],
    [{ rows: [0, 0, 1, 1, 2, 0.5, 1, -0.25] }, /breaks the protocol/],
    [{ rows: Array.from({ length: ROW * 1001 }, () => 0) }, /1001 detections/],
  ];
  for (const [change, rule] of spoilt) {
    t.throws(() => readAll(encodeSeen({ ...good, ...change }), []), {
      code: 'DETECTOR_FAILED',
      message: rule,
    });
  }
  t.throws(() => readAll(new Uint8Array(48), []), { message: /bytes that are no answer/ });
});

t.test('bytes of any kind are answers or an error, never more', async () => {
  fc.assert(
    fc.property(answers, fc.nat(), fc.integer({ min: 0, max: 255 }), (seen, at, value) => {
      const bytes = encodeSeen(seen);
      bytes[at % bytes.byteLength] = value;
      try {
        return readAll(bytes, []).length <= 1;
      } catch (error) {
        return error instanceof Error && error.message.startsWith('the detector process sent');
      }
    }),
  );
});
