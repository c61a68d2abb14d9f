import { existsSync, readdirSync } from 'node:fs';
import fc from 'fast-check';
import t from 'tap';
import { FrameShelf, readShelf } from '../../src/detector/frame-shelf.js';

const LARGE = 200_000;
const bytes = (length: number, seed: number): Uint8Array =>
  Uint8Array.from({ length }, (_, index) => (index * 31 + seed * 17) % 251);

t.test('what is put down is read back, whatever comes and goes', async (t) => {
  const step = fc.record({ large: fc.boolean(), size: fc.nat(50_000), keep: fc.boolean() });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 20 }), (steps) => {
      const shelf = FrameShelf.open();
      if (shelf === undefined) return true;
      const held: { seq: number; place: number; data: Uint8Array }[] = [];
      try {
        for (const [seq, { large, size, keep }] of steps.entries()) {
          const data = bytes(large ? LARGE + size : size + 1, seq);
          const place = shelf.put(seq, data);
          if (!large && place !== undefined) return false;
          if (place !== undefined) held.push({ seq, place, data });
          for (const one of held) {
            const target = new Uint8Array(one.data.length);
            readShelf(shelf.fd, target, one.place);
            if (Buffer.compare(target, one.data) !== 0) return false;
          }
          if (!keep) {
            const done = held.shift();
            if (done !== undefined) shelf.free(done.seq);
          }
        }
        return true;
      } finally {
        shelf.close();
      }
    }),
    { numRuns: 50 },
  );
  t.same(
    readdirSync('/dev/shm').filter((name) => name.startsWith('bitlane-')),
    [],
    'nothing has a name there',
  );
});

const skip = existsSync('/dev/shm') ? false : 'there is no /dev/shm here';

t.test('two frames at a time; a place that holds nothing is refused', { skip }, async (t) => {
  const shelf = FrameShelf.open();
  if (shelf === undefined) throw new Error('/dev/shm takes no file');
  t.teardown(() => shelf.close());
  const data = bytes(LARGE, 1);
  t.equal(shelf.put(1, data), 0);
  t.ok((shelf.put(2, data) ?? 0) > 0);
  t.equal(shelf.put(3, data), undefined, 'a third goes over the pipe');
  shelf.free(1);
  t.equal(shelf.put(4, bytes(2 * LARGE, 1)), undefined, 'a larger one waits until all are done');
  t.equal(shelf.put(5, data), 0);
  t.throws(() => readShelf(shelf.fd, new Uint8Array(10), 1e9), { code: 'BAD_FRAME' });
});
