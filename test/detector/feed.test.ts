import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test as Tap } from 'tap';
import { DetectorFeed, type FrameResult, Generation, type SwapEvent } from '../../src/detector/index.js';
import { silentLog } from '../../src/system/index.js';
import type { Frame } from '../../src/vision/index.js';

const script = join(import.meta.dirname, 'stand-in.js');
const rules = { frames: 5, timeoutMs: 20_000, maxLatencyRatio: 3, minAgreement: 0 };

let generations = 0;
const generation = (mode: string): Generation =>
  new Generation({
    number: (generations += 1),
    artifactId: mode,
    classes: ['car', 'bus', 'truck'],
    script,
    args: [mode],
    startTimeoutMs: 20_000,
    frameTimeoutMs: 20_000,
    graceMs: 200,
    log: silentLog,
  });

const frameOf = (seq: number): Frame => ({
  seq,
  receivedAtMs: performance.now(),
  wallMs: 0,
  format: 'rgb24',
  width: 64,
  height: 48,
  data: new Uint8Array(64 * 48 * 3),
});

interface Road {
  readonly feed: DetectorFeed;
  readonly results: FrameResult[];
  readonly steps: SwapEvent[];
  /** Stops the camera and waits until nothing is under way. */
  readonly settle: () => Promise<void>;
}

/** A feed under load: a frame every two milliseconds, more than once per turn now and then. */
const road = async (t: Tap, mode = 'serve'): Promise<Road> => {
  const feed = new DetectorFeed();
  const results: FrameResult[] = [];
  const steps: SwapEvent[] = [];
  feed.on('result', (result) => results.push(result)).on('swap', (event) => steps.push(event));
  const first = generation(mode);
  await first.start();
  feed.serve(first);
  let seq = 0;
  const camera = setInterval(() => {
    for (let burst = seq % 7 === 0 ? 2 : 1; burst > 0; burst -= 1) {
      feed.offer(frameOf(seq++));
    }
  }, 2);
  const stop = async (): Promise<void> => {
    clearInterval(camera);
    await feed.stop();
  };
  t.teardown(stop);
  const settle = async (): Promise<void> => {
    clearInterval(camera);
    while ((feed.serving?.inFlight ?? 0) + feed.waiting > 0) await sleep(5);
  };
  return { feed, results, steps, settle };
};

const checkNothingLost = (t: Tap, { feed, results }: Road): void => {
  const { received, done, dropped, skipped, lost } = feed.counters;
  t.equal(received, done + dropped + skipped + lost, 'every frame is accounted for');
  t.equal(results.length, done);
  t.ok(
    results.every((result, index) => index === 0 || result.frame.seq > (results[index - 1]?.frame.seq ?? -1)),
    'frames stay in order',
  );
};

t.test('ten swaps under load lose no frame and mix no generations', async (t) => {
  const here = await road(t);
  for (let count = 0; count < 10; count += 1) {
    const candidate = generation('serve');
    await here.feed.swap(candidate, rules);
    t.equal(here.feed.serving, candidate);
  }
  await here.settle();
  checkNothingLost(t, here);
  t.equal(here.feed.counters.lost + here.feed.counters.dropped, 0);
  t.ok(
    here.results.every((result, index) => result.generation >= (here.results[index - 1]?.generation ?? 0)),
    'once the new one serves the old one is not heard again',
  );
  t.same(
    here.steps.slice(0, 4).map(({ step }) => step),
    ['starting', 'canary', 'handover', 'committed'],
  );
  t.equal(here.steps.length, 40);
});

t.test('whether a frame is at work is told, once for every change', async (t) => {
  const feed = new DetectorFeed();
  t.teardown(() => feed.stop());
  const told: string[] = [];
  feed.on('busy', (busy) => told.push(busy ? 'busy' : 'free')).on('result', () => told.push('result'));
  const first = generation('serve');
  await first.start();
  feed.serve(first);
  t.same(told, []);
  for (let seq = 0; seq < 3; seq += 1) {
    feed.offer(frameOf(seq));
    t.equal(told.at(-1), 'busy', 'at once');
    while (told.at(-1) !== 'free') await sleep(5);
  }
  t.same(
    told,
    [0, 1, 2].flatMap(() => ['busy', 'result', 'free']),
  );
});

t.test('a detector that dies has no frame at work', async (t) => {
  const here = await road(t, 'crash');
  const told: boolean[] = [];
  here.feed.on('busy', (busy) => told.push(busy));
  await new Promise((resolve) => here.feed.on('failed', resolve));
  // It dies with the first frame.
  t.same(told.slice(-2), [true, false]);
});

t.test('a bad candidate is rolled back with its reason, and the old one serves on', async (t) => {
  const here = await road(t);
  const old = here.feed.serving;
  for (const [mode, reason] of [
    ['exit-early', /exit code 7/],
    ['refuse', /no output called boxes/],
    ['crash', /exit code 9/],
    ['crash-later', /exit code 9/],
    ['nan', /not finite numbers/],
    ['slow', /more than 3 times/],
    ['wrong-frame', /does not hold/],
  ] as const) {
    const candidate = generation(mode);
    await t.rejects(here.feed.swap(candidate, rules), { code: 'SWAP_FAILED', message: reason });
    t.match(here.steps.at(-1), { step: 'rolled-back', to: mode, reason });
    t.equal(candidate.state, 'ended');
    t.equal(here.feed.serving, old);
  }
  await t.rejects(here.feed.swap(generation('hang'), { ...rules, timeoutMs: 500 }), /canary after 500 ms/);
  await t.rejects(
    here.feed.swap(generation('serve'), rules, {
      commit: async () => {
        await sleep(20);
        throw new Error('the registry could not be written');
      },
    }),
    { code: 'SWAP_FAILED', message: /registry could not be written/ },
  );
  const before = here.results.length;
  while (here.results.length === before) await sleep(5);
  await here.settle();
  checkNothingLost(t, here);
  t.same([...new Set(here.results.map((result) => result.artifactId))], ['serve']);
});

t.test('one swap at a time', async (t) => {
  const here = await road(t);
  const first = here.feed.swap(generation('serve'), rules);
  await t.rejects(here.feed.swap(generation('serve'), rules), { code: 'BUSY' });
  t.throws(() => here.feed.serve(generation('serve')), { code: 'BUSY' });
  await first;
});

t.test('a serving generation that dies is told, its frames counted, and another may serve', async (t) => {
  const here = await road(t, 'crash-later');
  await new Promise((resolve) => here.feed.on('failed', resolve));
  t.equal(here.feed.serving, undefined);
  const { lost } = here.feed.counters;
  t.ok(lost === 1 || lost === 2, 'the frame it worked on, and perhaps the next one');
  await t.rejects(here.feed.swap(generation('serve'), rules), { code: 'SWAP_FAILED' });
  const next = generation('serve');
  await next.start();
  here.feed.serve(next);
  await new Promise((resolve) => here.feed.once('result', resolve));
  await here.settle();
  checkNothingLost(t, here);
});
