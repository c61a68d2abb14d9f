import fc from 'fast-check';
import t from 'tap';
import { type Flow, isAdmitted, oneMore, overflowOf, type Stub, victimOf } from '../../src/examples/index.js';
import { randomFrom } from '../tracking/traffic.js';

const stubs = fc.array(
  fc.record(
    {
      pair: fc.constantFrom('a:b', 'a:c', 'b:c'),
      bytes: fc.integer({ min: 1, max: 100 }),
      labelled: fc.boolean(),
      takenMs: fc.nat({ max: 1000 }),
    },
    { noNullPrototype: true },
  ),
  { maxLength: 40 },
);

t.test('a reservoir is a fair sample: early and late candidates are kept alike', async (t) => {
  const random = randomFrom(7);
  const [capacity, candidates, rounds] = [20, 200, 300];
  const kept = new Array<number>(candidates).fill(0);
  for (let round = 0; round < rounds; round += 1) {
    let flow: Flow | undefined;
    let held: number[] = [];
    for (let index = 0; index < candidates; index += 1) {
      flow = oneMore(flow, index, Infinity);
      if (!isAdmitted(flow, held.length, capacity, random)) continue;
      if (held.length >= capacity) held = held.toSpliced(Math.floor(random() * held.length), 1);
      held.push(index);
    }
    for (const index of held) kept[index] = (kept[index] ?? 0) + 1;
  }
  const shareOf = (from: number, to: number): number =>
    kept.slice(from, to).reduce((sum, count) => sum + count, 0) / (rounds * capacity);
  for (let part = 0; part < 4; part += 1) {
    const share = shareOf(50 * part, 50 * (part + 1));
    // Binomial with 6,000 draws: a standard deviation is 0.006.
    t.ok(Math.abs(share - 0.25) < 0.03, `quarter ${part} has a share of ${share}`);
  }
});

t.test('the count of candidates decays', async (t) => {
  const day = oneMore({ seen: 100, seenMs: 0 }, 1000, 1000);
  t.same(day, { seen: 51, seenMs: 1000 });
  t.equal(oneMore({ seen: 4, seenMs: 1000 }, 0, 1000).seen, 5, 'a clock that was set back does no harm');
});

t.test('a newcomer replaces nobody with a label', async (t) => {
  const stub = (id: string, labelled: boolean): Stub => ({ id, labelled, pair: 'a:b', bytes: 1, takenMs: 0 });
  t.equal(victimOf([stub('x', true)], Math.random), undefined);
  t.equal(victimOf([stub('x', true), stub('y', false)], Math.random)?.id, 'y');
});

t.test('what goes is enough, no more than needed, and never of a small pair before a large one', async () => {
  fc.assert(
    fc.property(stubs, fc.integer({ min: -10, max: 3000 }), fc.nat(), (list, excess, seed) => {
      const all = list.map((stub, index) => ({ ...stub, id: String(index) }));
      const gone = overflowOf(all, excess, randomFrom(seed));
      const bytes = gone.reduce((sum, stub) => sum + stub.bytes, 0);
      const last = gone.at(-1)?.bytes ?? 0;
      if (new Set(gone).size !== gone.length) throw new Error('one goes twice');
      if (bytes < excess && gone.length < all.length) throw new Error('too little goes');
      if (gone.length > 0 && bytes - last >= excess) throw new Error('too much goes');
      // Replayed: whoever goes is of the largest pair that has one without a label.
      const left = new Set(all);
      for (const victim of gone) {
        const free = [...left].filter(({ labelled }) => !labelled);
        if (victim.labelled) {
          if (free.length > 0) throw new Error('a label goes before others');
        } else {
          const sizeOf = (pair: string): number =>
            [...left].filter((stub) => stub.pair === pair).reduce((sum, stub) => sum + stub.bytes, 0);
          const largest = Math.max(...free.map(({ pair }) => sizeOf(pair)));
          if (sizeOf(victim.pair) < largest) throw new Error('a smaller pair loses');
        }
        left.delete(all.find(({ id }) => id === victim.id) as (typeof all)[number]);
      }
    }),
  );
});
