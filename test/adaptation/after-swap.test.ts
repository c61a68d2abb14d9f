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
  const show = (artifactId: string): void =>
    after.result({
      artifactId,
      nonFinite: 0,
      timings,
      detections: [detection, detection],
    } as unknown as FrameResult);
  for (let i = 0; i < 5; i++) show(old);
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
});
