// Fine-tuning as a step of the adapter: it trains, and a kill costs no more than what its checkpoints say.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { Adapter, type JobResult } from '../../src/adaptation/index.js';
import { readArtifactFolder } from '../../src/registry/index.js';
import { makeFixture } from '../significance/fixture.js';
import { shortTuning, smallJob } from './jobs.js';

const root = t.testdir();
const fixture = await makeFixture(join(root, 'fixture'));
const options = { memoryMb: 4_000, deadlineMs: 600_000, nice: 0 };
const change = { candidates: [], finetune: shortTuning };
type Ended = Extract<JobResult, { outcome: 'accepted' | 'rejected' }>;

/** Runs a job until it has said that it did `killAt` steps of training. @returns the steps that it told of */
const runTo = async (folder: string, killAt: number): Promise<number[]> => {
  const told: number[] = [];
  const adapter = new Adapter({
    ...options,
    folder,
    onProgress: (step, done) => {
      if (step !== 'fine-tuning') return;
      told.push(done);
      if (done >= killAt && adapter.pid !== undefined) process.kill(adapter.pid, 'SIGKILL');
    },
  });
  await adapter.run().catch(() => undefined);
  return told;
};

t.test('a job whose weights are trained on, killed and not', async (t) => {
  const rounded = smallJob(join(root, 'rounded'), fixture, { candidates: [] });
  const plain = (await new Adapter({ ...options, folder: rounded }).run()) as Ended;
  const whole = smallJob(join(root, 'whole'), fixture, change);
  const told = await runTo(whole, Infinity);
  t.equal(told.at(-1), shortTuning.steps, 'progress to the last step');
  const expected = (await new Adapter({ ...options, folder: whole }).run()) as Ended;
  t.not(expected.candidate.id, plain.candidate.id, 'training changed the weights');
  t.same(expected.candidate.bits, plain.candidate.bits, 'and not the bits');
  t.equal(expected.candidate.modelBytes <= 1.02 * plain.candidate.modelBytes, true);
  const { manifest } = await readArtifactFolder(join(whole, 'candidate'));
  t.equal(manifest.calibration?.rounding, 'trained');
  t.notOk(existsSync(join(whole, 'training')), 'its checkpoint is gone');

  const killed = smallJob(join(root, 'killed'), fixture, change);
  t.equal((await runTo(killed, 3))[0], 1);
  t.ok(existsSync(join(killed, 'training', 'checkpoint.bin')), 'one is left by a kill');
  const [first = 0] = await runTo(killed, 5);
  t.ok(first >= 2, `it went on with step ${first}`);
  const resumed = (await new Adapter({ ...options, folder: killed }).run()) as Ended;
  t.equal(resumed.candidate.id, expected.candidate.id, 'the same artifact');
});

t.test('pictures without labels are learned from as well', async (t) => {
  const { tuning } = { tuning: { path: fixture.data, split: 'train' as const, most: 3, labelled: false } };
  const folder = smallJob(join(root, 'free'), fixture, { ...change, tuning });
  const result = (await new Adapter({ ...options, folder }).run()) as Ended;
  t.equal(result.outcome, 'accepted', result.reason);
  t.equal(result.critical.labelled, false);
  const { manifest } = await readArtifactFolder(join(folder, 'candidate'));
  t.equal(manifest.calibration?.rounding, 'trained');
});
