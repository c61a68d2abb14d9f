// SIGKILL of the adapter at random moments: every job must come to the artifact that an unkilled one comes to.
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SingleBar } from 'cli-progress';
import { Adapter, type JobResult } from '../../src/adaptation/index.js';
import { processesBelow, isAlive } from '../../test/helpers/daemon.js';
import { makeFixture } from '../../test/significance/fixture.js';
import { shortTuning, smallJob } from '../../test/adaptation/jobs.js';
import { census, type Figure } from './lib.js';

const LIMITS = { memoryMb: 4_000, deadlineMs: 600_000, nice: 0 };
/** A kill comes this long after the start at the soonest. */
const SOONEST_MS = 100;
/** After so many kills of one job it is let through. */
const MOST_KILLS = 12;
const GONE_MS = 2_000;

const candidateOf = (result: JobResult): string =>
  result.outcome === 'failed' ? `failed: ${result.reason}` : result.candidate.id;

const hashOf = (path: string): string => createHash('sha256').update(readFileSync(path)).digest('hex');

export interface AdapterKills {
  readonly jobs: number;
  readonly candidate: string;
  readonly figures: readonly Figure[];
}

/** A detector of a few thousand weights and six pictures: what a kill can tear is the same as with a large one. */
export const killAdapter = async (kills: number, random: () => number): Promise<AdapterKills> => {
  const root = mkdtempSync(join(tmpdir(), 'bitlane-kill-adapter-'));
  const bar = process.stderr.isTTY ? new SingleBar({ stream: process.stderr }) : undefined;
  try {
    const fixture = await makeFixture(join(root, 'fixture'));
    const serving = join(fixture.home, 'model.onnx');
    const before = hashOf(serving);
    const pictures = { path: fixture.data, split: 'train' as const, most: 2, labelled: true };
    const change = {
      calibrationPictures: 1,
      finetune: shortTuning,
      tuning: pictures,
      validation: { ...pictures, split: 'val' as const },
    };
    // Whoever has no more time gets what was counted so far.
    let adapter: Adapter | undefined;
    let isEnough = false;
    process.once('SIGTERM', () => {
      isEnough = true;
      if (adapter?.pid !== undefined) process.kill(adapter.pid, 'SIGKILL');
    });
    const started = performance.now();
    const whole = await new Adapter({
      ...LIMITS,
      folder: smallJob(join(root, 'whole'), fixture, change),
    }).run();
    const wholeMs = performance.now() - started;
    if (whole.outcome === 'failed') throw new Error(`the job cannot be done: ${whole.reason}`);
    const expected = candidateOf(whole);
    const count = { kills: 0, jobs: 0, different: 0, left: 0, touched: 0 };
    bar?.start(kills, 0);
    while (count.kills < kills && !isEnough) {
      const home = join(root, `job-${count.jobs}`);
      const folder = smallJob(home, fixture, change);
      let result: JobResult | undefined;
      for (let own = 0; result === undefined;) {
        const current = new Adapter({ ...LIMITS, folder });
        adapter = current;
        const run = current.run().catch(() => undefined);
        if (own >= MOST_KILLS || count.kills >= kills) {
          result = await run;
          if (isEnough) break;
          if (result === undefined) throw new Error('a job that was let through did not come to its end');
          break;
        }
        const waitMs = SOONEST_MS + random() * wholeMs;
        let below: number[] = [];
        const timer = setTimeout(() => {
          const { pid } = current;
          if (pid === undefined) return;
          below = [pid, ...processesBelow(pid)];
          process.kill(pid, 'SIGKILL');
        }, waitMs);
        result = await run;
        clearTimeout(timer);
        if (isEnough) break;
        if (below.length === 0) continue;
        own += 1;
        count.kills += 1;
        bar?.update(count.kills);
        const deadline = performance.now() + GONE_MS;
        while (below.some(isAlive) && performance.now() < deadline)
          await new Promise((r) => setTimeout(r, 10));
        if (below.some(isAlive)) count.left += 1;
        if (hashOf(serving) !== before) count.touched += 1;
      }
      rmSync(home, { recursive: true, force: true });
      if (result === undefined) break;
      count.jobs += 1;
      if (candidateOf(result) !== expected) count.different += 1;
    }
    return {
      jobs: count.jobs,
      candidate: expected,
      figures: [
        census('kill.adapterDifferentResults', 'jobs', count.different, count.jobs),
        census('kill.adapterLeftProcesses', 'kills', count.left, count.kills),
        census('kill.adapterTouchedServing', 'kills', count.touched, count.kills),
      ],
    };
  } finally {
    bar?.stop();
    rmSync(root, { recursive: true, force: true });
  }
};
