// The adapter as a process: a job comes to the same end however often it is killed, and nothing of it is left when it is stopped.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { Adapter, type JobResult, readJob } from '../../src/adaptation/index.js';
import { readArtifactFolder } from '../../src/registry/index.js';
import { isAlive, processesBelow } from '../helpers/daemon.js';
import { makeFixture } from '../significance/fixture.js';
import { smallJob } from './jobs.js';

const root = t.testdir();
const fixture = await makeFixture(join(root, 'fixture'));
const options = { memoryMb: 4_000, deadlineMs: 600_000, nice: 0 };
type Ended = Extract<JobResult, { outcome: 'accepted' | 'rejected' }>;

let whole: Ended | undefined;
let wholeMs = 0;

t.test('a job from its snapshot to a candidate', async (t) => {
  const folder = smallJob(join(root, 'whole'), fixture);
  const steps = new Set<string>();
  const adapter = new Adapter({ ...options, folder, onProgress: (step) => steps.add(step) });
  const started = performance.now();
  const result = (await adapter.run()) as Ended;
  wholeMs = performance.now() - started;
  t.equal(result.outcome, 'accepted', result.reason);
  const artifact = await readArtifactFolder(join(folder, 'candidate'));
  t.equal(artifact.id, result.candidate.id);
  t.equal(artifact.manifest.parentId, fixture.id);
  t.ok(result.candidate.averageBits <= 4.0001);
  const tried = (result.candidates ?? []).filter(({ damage }) => damage !== null);
  t.ok(tried.length > 1, `${tried.length} candidates`);
  const least = Math.min(...tried.map(({ damage }) => damage ?? Infinity));
  t.same(
    tried.filter(({ isChosen }) => isChosen).map(({ objective, damage }) => [objective, damage]),
    [[result.objective, least]],
    'the least damage was kept',
  );
  t.equal(result.critical.objects > 0, true);
  t.same(result.critical.pairs, [
    ['bus', 'car'],
    ['car', 'truck'],
  ]);
  for (const step of ['snapshot', 'measuring', 'solving', 'validating']) t.ok(steps.has(step), step);
  t.match(readFileSync(join(folder, 'report.html'), 'utf8'), /bits of each layer/);
  t.same(await new Adapter({ ...options, folder }).run(), result, 'a job that is done is not done again');
  whole = result;
});

t.test('killed again and again, it ends with the same artifact', async (t) => {
  const folder = smallJob(join(root, 'killed'), fixture);
  // Shares of the time that the whole job took: what is busy is as busy for both.
  for (const share of [0.15, 0.3, 0.5, 0.7]) {
    const adapter = new Adapter({ ...options, folder });
    const timer = setTimeout(() => {
      if (adapter.pid !== undefined) process.kill(adapter.pid, 'SIGKILL');
    }, share * wholeMs);
    await adapter.run().catch(() => undefined);
    clearTimeout(timer);
  }
  const result = await new Adapter({ ...options, folder }).run();
  const ended = result as Ended;
  t.equal(ended.candidate.id, whole?.candidate.id);
  const figures = ({ evidence }: Ended): unknown =>
    evidence.kind === 'labels' ? { ...evidence.comparison, data: '' } : evidence;
  t.same(figures(ended), whole === undefined ? undefined : figures(whole));
  t.same(ended.significant, whole?.significant);
  t.same(ended.candidates, whole?.candidates);
});

t.test('it stands behind everything else, and nothing is left of it', async (t) => {
  const folder = smallJob(join(root, 'stopped'), fixture);
  const adapter = new Adapter({ ...options, nice: 19, folder });
  const run = adapter.run();
  run.catch(() => undefined);
  const below = (): number[] =>
    adapter.pid === undefined ? [] : [adapter.pid, ...processesBelow(adapter.pid)];
  while (below().length < 2) await sleep(20);
  const pids = below();
  for (const pid of pids) {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    t.equal(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[16], '19', 'nice');
  }
  await adapter.stop();
  await t.rejects(run, { code: 'TIMEOUT', message: /stopped/ });
  while (pids.some(isAlive)) await sleep(20);
  t.equal(existsSync(join(folder, 'result.json')), false);
});

t.test('it has no more memory and time than it was given', async (t) => {
  const folder = smallJob(join(root, 'large'), fixture);
  const large = new Adapter({ ...options, folder, memoryMb: 40 });
  await t.rejects(large.run(), { code: 'UNSUPPORTED', message: /more than the 40 MB/ });
  const late = new Adapter({ ...options, folder, deadlineMs: 300 });
  await t.rejects(late.run(), { code: 'TIMEOUT', message: /was not done/ });
  t.equal(isAlive(late.pid ?? 0), false);
});

t.test('what cannot be done is said once and for all; a job that is none is refused', async (t) => {
  const tight = smallJob(join(root, 'tight'), fixture, { budget: { modelBytes: 100 } });
  t.match(await new Adapter({ ...options, folder: tight }).run(), {
    outcome: 'failed',
    code: 'BAD_USAGE',
    reason: /no allocation is within the budget/,
  });
  const none = smallJob(join(root, 'none'), fixture);
  writeFileSync(join(none, 'job.json'), JSON.stringify({ ...readJob(none), processes: 0 }));
  await t.rejects(new Adapter({ ...options, folder: none }).run(), {
    code: 'BAD_CONFIG',
    message: /processes/,
  });
});
