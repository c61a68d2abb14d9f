// Swaps on a device that cannot hold two processes: one ends before the other begins, and comes back where that one fails.
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test as Tap } from 'tap';
import { type CanaryRules, DetectorFeed, type FrameResult } from '../../src/detector/index.js';
import type { Artifact } from '../../src/registry/index.js';
import { image, isAlive, jpegOf, realGeneration, temporaryFolder, tinyArtifact, toFrame } from './parts.js';

const folder = temporaryFolder(t);
const rules: CanaryRules = { frames: 10, timeoutMs: 60_000, maxLatencyRatio: 100, minAgreement: 0 };
const boxOf = (x1: number) => ({ x1, y1: 8, x2: x1 + 20, y2: 40, classId: 0, score: 0.75 });
const old = tinyArtifact(folder, { boxes: [boxOf(1)] });

const serveOld = async (t: Tap) => {
  const feed = new DetectorFeed();
  const results: FrameResult[] = [];
  const steps: string[] = [];
  feed.on('result', (result) => results.push(result));
  feed.on('swap', ({ step }) => steps.push(step));
  feed.on('failed', ({ message }) => steps.push(`failed: ${message}`));
  const serving = realGeneration(old);
  await serving.start();
  feed.serve(serving);
  const picture = jpegOf(image(64, 64));
  const camera = setInterval(() => feed.offer(toFrame(picture)), 3);
  t.teardown(async () => {
    clearInterval(camera);
    await feed.stop();
  });
  const flows = async (): Promise<void> => {
    const before = results.length;
    while (results.length < before + 5) await sleep(2);
  };
  await flows();
  return { feed, results, steps, serving, flows };
};

t.test('a good candidate takes over, and never are two alive', async (t) => {
  const { feed, results, steps, serving, flows } = await serveOld(t);
  const { pid } = serving;
  const next = tinyArtifact(folder, { boxes: [boxOf(30)] });
  const candidate = realGeneration(next);
  let both = 0;
  const look = setInterval(() => {
    if (isAlive(pid) && isAlive(candidate.pid)) both += 1;
  }, 1);
  const done: string[] = [];
  await feed.exchange(candidate, () => realGeneration(old), rules, {
    check: ({ frames, candidate: { p95Ms } }) => {
      done.push('check');
      return frames === 10 && p95Ms > 0 ? undefined : 'no figures';
    },
    commit: () => void done.push('commit'),
  });
  clearInterval(look);
  t.equal(both, 0);
  t.same(done, ['check', 'commit']);
  t.equal(feed.serving, candidate);
  t.same(steps, ['starting', 'canary', 'handover', 'committed']);
  await flows();
  t.equal(results.at(-1)?.artifactId, next.id);
  t.equal(feed.counters.lost, 0);
});

const failing = async (
  t: Tap,
  artifact: Artifact,
  reason: RegExp,
  change: { readonly rules?: Partial<CanaryRules>; readonly check?: () => string } = {},
) => {
  const { feed, results, steps, flows } = await serveOld(t);
  let undone = 0;
  await t.rejects(
    feed.exchange(
      realGeneration(artifact),
      () => realGeneration(old),
      { ...rules, ...change.rules },
      {
        ...(change.check && { check: change.check }),
        commit: () => void t.fail('it must not be committed'),
        undo: () => void (undone += 1),
      },
    ),
    { code: 'SWAP_FAILED', message: reason },
  );
  await flows();
  t.equal(feed.serving?.artifactId, old.id);
  t.equal(results.at(-1)?.artifactId, old.id, 'the old one serves again');
  t.equal(undone, 0);
  t.equal(steps.at(-1), 'rolled-back');
  t.equal(feed.swapping, false);
  return feed;
};

t.test('one whose outputs are no numbers goes', (t) =>
  failing(t, tinyArtifact(folder, { boxes: [boxOf(2)], nan: true }), /not finite numbers/),
);

t.test('one that is over its budget goes', (t) =>
  failing(t, tinyArtifact(folder, { boxes: [boxOf(3)] }), /too dear/, { check: () => 'too dear' }),
);

t.test('one that ends goes', async (t) => {
  const feed = await failing(t, tinyArtifact(folder, { boxes: [boxOf(4)], crashAbove: 10 }), /ended|ready/);
  t.ok(feed.counters.lost <= 2, 'what it held is gone, and counted');
});

t.test('one that is never proved goes', (t) =>
  failing(t, tinyArtifact(folder, { boxes: [boxOf(5)] }), /not proved/, {
    rules: { frames: 1_000_000, timeoutMs: 1_000 },
  }),
);
