// A new model on the road: all that is seen of it while it is watched is what it is judged and remembered by.
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { AfterSwap } from '../../src/adaptation/loop/after-swap.js';
import type { AdaptationRecord } from '../../src/adaptation/loop/record.js';
import { adaptationSchema } from '../../src/config/index.js';
import type { FrameResult } from '../../src/detector/index.js';
import { silentLog } from '../../src/system/index.js';

const [old, young] = ['a'.repeat(64), 'b'.repeat(64)];
const detection = { class: 0, score: 0.8, box: [0, 0, 1, 1] };
const timings = { preprocessMs: 1, inferenceMs: 2, postprocessMs: 1 };

const frame = (artifactId: string): FrameResult =>
  ({ artifactId, nonFinite: 0, timings, detections: [detection, detection] }) as unknown as FrameResult;

t.test('a way back that is barred is tried again, and told when it is done', async (t) => {
  const { watch } = adaptationSchema.parse({});
  const ends: (string | undefined)[] = [];
  const asked: unknown[] = [];
  let barred = true;
  let returns = 0;
  const after = new AfterSwap({
    serving: {
      use: (...args) => {
        asked.push(args);
        return barred ? Promise.reject(new Error('a swap is running')) : Promise.resolve();
      },
    },
    rules: () => watch,
    agreement: undefined,
    log: silentLog,
    onEnd: (_, back) => ends.push(back),
    onReturn: () => (returns += 1),
  });
  const begin = (): void => after.begin({ candidate: young, baseline: old, budget: {} });
  after.result(frame(old));
  begin();
  after.step({ step: 'failed', model: young, active: young, generation: 3, reason: 'settings' });
  t.same(asked, [], 'its own process with other settings failed: it serves on');
  after.step({ step: 'restarted', model: young, active: young, generation: 3, reason: 'it crashed' });
  await sleep(1);
  t.same(ends, [], 'nothing is told of a way back that was not gone');
  t.same(asked, [[old, { isTrusted: true }]]);
  const now = performance.now();
  await after.look(now);
  t.equal(asked.length, 1, 'not at once');
  barred = false;
  await after.look(now + 60_000);
  t.same(ends, ['it crashed']);
  t.equal(asked.length, 2);
  await after.look(now + 120_000);
  t.equal(asked.length, 2, 'and that is all');

  barred = true;
  begin();
  after.step({ step: 'restarted', model: young, active: young, generation: 3, reason: 'again' });
  await sleep(1);
  after.step({ step: 'committed', model: 'c'.repeat(64), active: 'c'.repeat(64), generation: 4 });
  t.same(ends, ['it crashed', 'again'], 'somebody else chose another');
  await after.look(now + 180_000);
  t.equal(asked.length, 3);
  t.equal(returns, 2);
});

t.test('a watch ends with every frame since the swap, though its time is that of a stretch', async (t) => {
  const { watch } = adaptationSchema.parse({});
  const seconds = 0.2;
  let live: AdaptationRecord['live'] | undefined;
  const after = new AfterSwap({
    serving: { use: () => Promise.resolve() },
    rules: () => ({ ...watch, seconds }),
    agreement: undefined,
    log: silentLog,
    onEnd: (seen) => (live = seen),
    onReturn: () => t.fail('there is no reason to go back'),
  });
  const show = (artifactId: string): void => after.result(frame(artifactId));
  for (let i = 0; i < 5; i++) show(old);
  t.equal(after.p95Of(old), undefined, 'too few to say');
  // The first frames of a model come before the loop hears that it serves.
  show(young);
  await sleep(20);
  after.begin({ candidate: young, baseline: old, budget: {} });
  let shown = 1;
  while (live === undefined) {
    show(young);
    shown += 1;
    await sleep(5);
    await after.look(performance.now());
  }
  t.equal(live?.after.frames, shown, 'none is forgotten');
  t.equal(live?.after.detections, 2 * shown);
  t.ok((live?.before.frames ?? 0) > 0);
  for (let i = 0; i < 1_000; i++) show(young);
  t.equal(after.p95Of(young), 4, 'all that a frame takes in its process');
  t.equal(after.p95Of(old), undefined, 'it serves no more');
});
