// Hot swaps between real generations under load: models that emit different boxes tell which of them answered.
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { type CanaryRules, DetectorFeed, type FrameResult } from '../../src/detector/index.js';
import { image, jpegOf, realGeneration, temporaryFolder, tinyArtifact, toFrame } from './parts.js';

const folder = temporaryFolder(t);
const rules: CanaryRules = { frames: 5, timeoutMs: 30_000, maxLatencyRatio: 100, minAgreement: 0 };
const boxOf = (x1: number) => ({ x1, y1: 8, x2: x1 + 20, y2: 40, classId: 0, score: 0.75 });

t.test('swaps between real models lose no frame, and every answer is its own generation', async (t) => {
  const feed = new DetectorFeed();
  const results: FrameResult[] = [];
  feed.on('result', (result) => results.push(result));
  const lefts = [0, 12, 24, 36];
  const artifacts = lefts.map((left) => tinyArtifact(folder, { boxes: [boxOf(left)] }));
  const [first, ...others] = artifacts;
  if (first === undefined) throw new Error('no artifact');
  const serving = realGeneration(first);
  await serving.start();
  feed.serve(serving);
  const picture = jpegOf(image(64, 64));
  const camera = setInterval(() => feed.offer(toFrame(picture)), 3);
  t.teardown(async () => {
    clearInterval(camera);
    await feed.stop();
  });
  for (const artifact of others) {
    const steps: string[] = [];
    await feed.swap(realGeneration(artifact), rules, {
      commit: async () => {
        steps.push('commit');
        const before = results.length;
        while (results.length < before + 3) await sleep(2);
      },
      undo: () => void steps.push('undo'),
    });
    t.same(steps, ['commit'], 'frames flow while the swap is made durable');
    t.equal(feed.serving?.artifactId, artifact.id);
  }
  const disagreeing = tinyArtifact(folder, { boxes: [boxOf(4)] });
  await t.rejects(feed.swap(realGeneration(disagreeing), { ...rules, minAgreement: 0.5 }), {
    code: 'SWAP_FAILED',
    message: /objects that the serving model is sure of/,
  });
  const before = results.length;
  while (results.length < before + 3) await sleep(2);
  clearInterval(camera);
  while ((feed.serving?.inFlight ?? 0) + feed.waiting > 0) await sleep(5);
  const { received, done, dropped, skipped, lost } = feed.counters;
  t.equal(received, done + skipped, 'newest frame wins, and nothing else is lost');
  t.same({ dropped, lost }, { dropped: 0, lost: 0 });
  t.equal(results.length, done);
  const wrong = results.filter((result) => {
    const left = lefts[artifacts.findIndex((artifact) => artifact.id === result.artifactId)];
    return Math.round(result.detections[0]?.x1 ?? NaN) !== left;
  });
  t.same(wrong, [], 'every box is of the generation that it is said to be of');
  t.equal(new Set(results.map((result) => result.artifactId)).size, lefts.length, 'all of them served');
  t.ok(
    results.every((result, index) => {
      const previous = results[index - 1];
      return (
        previous === undefined ||
        (result.frame.seq > previous.frame.seq && result.generation >= previous.generation)
      );
    }),
    'in the order of the frames and of the generations',
  );
});

t.test('a candidate that dies after the commit is rolled back, and the commit with it', async (t) => {
  const feed = new DetectorFeed();
  let answers = 0;
  feed.on('result', () => (answers += 1));
  const serving = realGeneration(tinyArtifact(folder, { boxes: [boxOf(1)] }));
  await serving.start();
  feed.serve(serving);
  const picture = jpegOf(image(64, 64));
  const camera = setInterval(() => feed.offer(toFrame(picture)), 3);
  t.teardown(async () => {
    clearInterval(camera);
    await feed.stop();
  });
  const candidate = realGeneration(tinyArtifact(folder, { boxes: [boxOf(2)] }));
  let undone = 0;
  await t.rejects(
    feed.swap(candidate, rules, {
      commit: async () => {
        const { pid } = candidate;
        if (pid !== undefined) process.kill(pid, 'SIGKILL');
        while (candidate.state !== 'ended') await sleep(5);
      },
      undo: () => void (undone += 1),
    }),
    { code: 'SWAP_FAILED', message: /SIGKILL/ },
  );
  t.equal(undone, 1);
  t.equal(feed.serving, serving);
  const before = answers;
  while (answers < before + 3) await sleep(2);
  t.pass('the old one serves on');
});
