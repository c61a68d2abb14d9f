import fc from 'fast-check';
import t from 'tap';
import { countingSchema } from '../../src/config/index.js';
import { CLOSE_GRACE_MS, CountAggregator, type CountInterval } from '../../src/tracking/index.js';

const NOON = Date.UTC(2025, 2, 30, 12, 0, 0);
const car = { line: 'main', direction: 'in', className: 'car' };
const counting = (intervals = [60], emptyIntervals = true) =>
  countingSchema.parse({ intervals, emptyIntervals });
const total = (intervals: readonly CountInterval[]): number =>
  intervals.reduce((sum, interval) => sum + interval.total, 0);
/** Calls `advance` once a second. */
const run = (counts: CountAggregator, from: number, to: number, observing = true): CountInterval[] => {
  const closed: CountInterval[] = [];
  for (let now = from; now <= to; now += 1000) closed.push(...counts.advance(now, observing));
  return closed;
};
const starts = (intervals: readonly CountInterval[]): string[] =>
  intervals.map(({ startMs }) => new Date(startMs).toISOString().slice(11, 19));

t.test('counts by line, direction and class, closed some seconds after the end', async (t) => {
  const counts = new CountAggregator(counting());
  t.same(run(counts, NOON + 500, NOON + 58_500), []);
  for (const className of ['truck', 'car', 'car']) counts.add({ ...car, className, wallMs: NOON + 59_000 });
  counts.add({ ...car, direction: 'out', wallMs: NOON + 59_900 });
  counts.add({ ...car, line: 'lane', wallMs: NOON });
  t.same(run(counts, NOON + 59_500, NOON + 64_500), []);
  counts.add({ ...car, wallMs: NOON + 59_999.9 });
  counts.add({ ...car, wallMs: NOON + 60_000 });
  t.same(counts.advance(NOON + 60_000 + CLOSE_GRACE_MS), [
    {
      seconds: 60,
      startMs: NOON,
      endMs: NOON + 60_000,
      era: 0,
      observedMs: 59_500,
      total: 6,
      counts: [
        { line: 'lane', direction: 'in', className: 'car', count: 1 },
        { line: 'main', direction: 'in', className: 'car', count: 3 },
        { line: 'main', direction: 'in', className: 'truck', count: 1 },
        { line: 'main', direction: 'out', className: 'car', count: 1 },
      ],
    },
  ]);
  t.match(counts.current(), [{ startMs: NOON + 60_000, total: 1 }]);
});

t.test('intervals are aligned to UTC and closed at both ends by one, for each length', async (t) => {
  const counts = new CountAggregator(counting([60, 900, 7]));
  const closed = run(counts, NOON - 600_000, NOON + 1_800_000);
  for (const seconds of [60, 900, 7]) {
    const mine = closed.filter((interval) => interval.seconds === seconds);
    t.ok(mine.length > 1);
    t.ok(
      mine.every(
        ({ startMs, endMs }) => startMs % (seconds * 1000) === 0 && endMs - startMs === seconds * 1000,
      ),
    );
    t.ok(mine.every(({ startMs }, i) => i === 0 || startMs === mine[i - 1]?.endMs));
    t.ok(mine.slice(1).every(({ observedMs }) => observedMs === seconds * 1000));
  }
  t.match(
    closed.filter(({ seconds }) => seconds === 900),
    [{ observedMs: 600_000 }, { observedMs: 900_000 }],
    'the first one was watched in part',
  );
});

t.test('intervals without a vehicle are reported or not, as configured', async (t) => {
  t.equal(run(new CountAggregator(counting([60], true)), NOON, NOON + 300_000).length, 4);
  const counts = new CountAggregator(counting([60], false));
  run(counts, NOON, NOON + 61_000);
  counts.add({ ...car, wallMs: NOON + 61_000 });
  t.same(starts(run(counts, NOON + 62_000, NOON + 300_000)), ['12:01:00']);
});

t.test('a blind camera is no empty road', async (t) => {
  const counts = new CountAggregator(counting());
  run(counts, NOON, NOON + 30_000, true);
  const closed = run(counts, NOON + 31_000, NOON + 140_000, false);
  t.match(closed, [
    { startMs: NOON, observedMs: 30_000 },
    { startMs: NOON + 60_000, observedMs: 0, total: 0 },
  ]);
});

t.test('late crossings go to the current interval', async (t) => {
  const counts = new CountAggregator(counting());
  t.equal(run(counts, NOON, NOON + 66_000).length, 1);
  counts.add({ ...car, wallMs: NOON + 30_000 });
  t.match(run(counts, NOON + 67_000, NOON + 126_000), [{ startMs: NOON + 60_000, total: 1 }]);
});

t.test('set forward: skipped intervals are not reported', async (t) => {
  const counts = new CountAggregator(counting());
  run(counts, NOON, NOON + 30_000);
  counts.add({ ...car, wallMs: NOON + 20_000 });
  t.match(counts.advance(NOON + 86_400_000), [{ startMs: NOON, total: 1, observedMs: 30_000 }]);
  counts.add({ ...car, wallMs: NOON + 31_000 });
  t.match(counts.current(), [{ total: 1 }]);
  t.match(run(counts, NOON + 86_401_000, NOON + 86_400_000 + 70_000), [
    { startMs: NOON + 86_400_000, total: 1 },
  ]);
});

t.test('set back a little: nothing opens again, the open interval takes it all', async (t) => {
  const counts = new CountAggregator(counting());
  const first = run(counts, NOON, NOON + 630_000);
  t.equal(first.length, 10);
  counts.add({ ...car, wallMs: NOON + 629_000 });
  const back = NOON + 300_000;
  t.same(counts.advance(back), []);
  counts.add({ ...car, wallMs: back + 10_000 });
  t.match(counts.current(), [{ startMs: NOON + 600_000, total: 2 }]);
  const second = run(counts, back, NOON + 665_000);
  t.same(starts(second), ['12:10:00']);
  t.match(second, [{ total: 2, era: 0 }]);
  t.equal(second[0]?.observedMs, 30_000 + 300_000 + 60_000, 'it says that it was watched for longer');
});

t.test('set back far: the wrong time is closed at once and a new era begins', async (t) => {
  const counts = new CountAggregator(counting());
  const wrong = Date.UTC(2035, 0, 1);
  run(counts, wrong, wrong + 20_000);
  counts.add({ ...car, wallMs: wrong + 20_000 });
  t.match(counts.advance(NOON + 7_000), [{ startMs: wrong, era: 0, total: 1 }]);
  counts.add({ ...car, wallMs: NOON + 8_000 });
  t.match(run(counts, NOON + 8_000, NOON + 66_000), [
    { startMs: NOON, era: 1, total: 1, observedMs: 53_000 },
  ]);
});

t.test('a crossing stamped before the clock was set back does not wait for years', async (t) => {
  const counts = new CountAggregator(counting());
  counts.advance(NOON);
  counts.add({ ...car, wallMs: Date.UTC(2035, 0, 1) });
  t.equal(total(run(counts, NOON + 1000, NOON + 130_000)), 1);
});

t.test('a snapshot goes on with the open interval', async (t) => {
  const before = new CountAggregator(counting([60, 900]));
  run(before, NOON, NOON + 130_000);
  before.add({ ...car, wallMs: NOON + 125_000 });
  before.add({ ...car, className: 'bus', wallMs: NOON + 125_000 });
  const stored: unknown = JSON.parse(JSON.stringify(before.snapshot()));

  const after = new CountAggregator(counting([60, 900]));
  t.same(after.restore(stored), []);
  t.same(after.snapshot(), before.snapshot());
  after.add({ ...car, wallMs: NOON + 140_000 });
  const closed = run(after, NOON + 142_000, NOON + 910_000);
  t.match(closed[0], { startMs: NOON + 120_000, total: 3, observedMs: 10_000 + 38_000 });
  t.match(
    closed.find(({ seconds }) => seconds === 900),
    {
      startMs: NOON,
      total: 3,
      observedMs: 900_000 - 12_000,
    },
  );
  t.equal(total(closed.filter(({ seconds }) => seconds === 60)), 3);
});

t.test('a snapshot from before a long stop closes at once, and what is closed stays closed', async (t) => {
  const before = new CountAggregator(counting());
  run(before, NOON, NOON + 70_000);
  before.add({ ...car, wallMs: NOON + 65_000 });
  const after = new CountAggregator(counting());
  after.restore(before.snapshot());
  after.add({ ...car, wallMs: NOON + 30_000 });
  t.match(after.advance(NOON + 7_200_000), [{ startMs: NOON + 60_000, total: 2 }]);
  t.match(after.current(), [{ startMs: NOON + 7_200_000, total: 0 }]);
});

t.test('interval lengths that are no longer wanted give up what they hold', async (t) => {
  const counts = new CountAggregator(counting([60, 900]));
  counts.advance(NOON);
  counts.add({ ...car, wallMs: NOON });
  const stored = counts.snapshot();
  t.match(counts.reconfigure(counting([60, 300])), [{ seconds: 900, total: 1 }]);
  t.match(counts.current(), [{ seconds: 60, total: 1 }]);
  const other = new CountAggregator(counting([60]));
  t.match(other.restore(stored), [{ seconds: 900, total: 1 }]);
  t.match(other.current(), [{ seconds: 60, total: 1 }]);
});

t.test('a snapshot that is none is refused, and nothing changes', async (t) => {
  const counts = new CountAggregator(counting());
  counts.advance(NOON);
  counts.add({ ...car, wallMs: NOON });
  const good = counts.snapshot();
  const row = { ...car, count: 1 };
  const series = (change: object) => ({ ...good, series: [{ ...good.series[0], ...change }] });
  const bad: unknown[] = [
    null,
    [],
    'x',
    {},
    { ...good, schema: 2 },
    { ...good, more: 1 },
    { ...good, series: [good.series[0], good.series[0]] },
    series({ seconds: 0 }),
    series({ era: -1 }),
    series({ closedUntilMs: 'yesterday' }),
    series({ closedUntilMs: null }),
    series({ open: [{ startMs: NOON + 1, observedMs: 0, counts: [] }] }),
    series({ open: [{ startMs: NOON - 60_000, observedMs: 0, counts: [] }] }),
    series({ open: [{ startMs: NOON, observedMs: -1, counts: [] }] }),
    series({ open: [{ startMs: NOON, observedMs: 0, counts: [{ ...row, count: -1 }] }] }),
    series({ open: [{ startMs: NOON, observedMs: 0, counts: [{ ...row, count: 1.5 }] }] }),
    series({ open: [1, 2].map(() => ({ startMs: NOON, observedMs: 0, counts: [row] })) }),
  ];
  for (const snapshot of bad) {
    t.throws(() => counts.restore(snapshot), { code: 'STORE_FAILED' }, JSON.stringify(snapshot));
    t.same(counts.snapshot(), good);
  }
  t.doesNotThrow(() => counts.restore(good));
});

t.test('times that are no numbers are refused', async (t) => {
  const counts = new CountAggregator(counting());
  t.throws(() => counts.advance(NaN), { code: 'INTERNAL' });
  t.throws(() => counts.add({ ...car, wallMs: Infinity }), { code: 'INTERNAL' });
});

t.test(
  'conservation: whatever the clock does, each crossing is counted once and no interval closes twice',
  async () => {
    const step = fc.oneof(
      { weight: 6, arbitrary: fc.record({ wait: fc.integer({ min: 0, max: 20_000 }) }) },
      { weight: 6, arbitrary: fc.record({ cross: fc.integer({ min: -90_000, max: 3_000 }) }) },
      { weight: 1, arbitrary: fc.record({ clock: fc.integer({ min: -3_500_000, max: 3_500_000 }) }) },
      { weight: 1, arbitrary: fc.record({ clock: fc.constantFrom(-4e11, -1e8, 1e8, 4e11) }) },
      { weight: 1, arbitrary: fc.constant({ restart: true as const }) },
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
        const config = counting([1, 60, 900]);
        let counts = new CountAggregator(config);
        let now = NOON;
        let crossed = 0;
        const closed = counts.advance(now);
        for (const step of steps) {
          if ('cross' in step) {
            crossed++;
            counts.add({ ...car, wallMs: now + step.cross });
          } else if ('restart' in step) {
            const stored: unknown = JSON.parse(JSON.stringify(counts.snapshot()));
            counts = new CountAggregator(config);
            closed.push(...counts.restore(stored));
          } else {
            now += 'wait' in step ? step.wait : step.clock;
            closed.push(...counts.advance(now));
          }
        }
        // A crossing may be stamped a little ahead of the clock; two hours close everything.
        closed.push(...counts.advance(now + 7_200_000));
        const keys = closed.map(({ seconds, startMs, era }) => `${seconds} ${startMs} ${era}`);
        return (
          new Set(keys).size === keys.length &&
          closed.every(
            ({ observedMs, counts }) => observedMs >= 0 && counts.every(({ count }) => count > 0),
          ) &&
          config.intervals.every(
            (seconds) => total(closed.filter((interval) => interval.seconds === seconds)) === crossed,
          )
        );
      }),
      { numRuns: 500 },
    );
  },
);
