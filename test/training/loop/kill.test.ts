// A run that is killed again and again ends with the weights of one that was not; and training learns.
import { spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { writeBoxes } from '../boxes-data.js';

const CHILD = fileURLToPath(new URL('./child.js', import.meta.url));
const STEPS = 36;

interface Outcome {
  readonly hash: string;
  readonly history: {
    readonly steps: readonly { readonly loss: number }[];
    readonly validations: readonly unknown[];
  };
}

/** Runs the child; kills it when it has said that it did `killAt` steps. */
const run = (folder: string, data: string, killAt: number): Promise<Outcome | undefined> =>
  new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [CHILD, folder, data, String(STEPS)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let text = '';
    child.stdout.on('data', (chunk: Buffer) => {
      text += chunk.toString();
      if (text.includes(`step ${killAt} `)) child.kill('SIGKILL');
    });
    child.on('error', reject);
    child.on('exit', (code, signal) => {
      if (signal === 'SIGKILL') resolve(undefined);
      else if (code !== 0) reject(new Error(`the run ended with ${code}`));
      else resolve(JSON.parse(text.trim().split('\n').at(-1) ?? '') as Outcome);
    });
  });

t.test('a killed run goes on as if nothing had happened', async (t) => {
  const data = t.testdir();
  await writeBoxes(data);
  const whole = await run(join(data, 'whole'), data, Infinity);
  const folder = join(data, 'killed');
  for (const killAt of [2, 8, 20])
    t.equal(await run(folder, data, killAt), undefined, `killed in step ${killAt}`);
  const resumed = await run(folder, data, Infinity);
  t.equal(resumed?.hash, whole?.hash, 'the same weights');
  t.strictSame(resumed?.history, whole?.history, 'the same history');
  t.equal(whole?.history.validations.length, Math.ceil(STEPS / 7));
  const losses = whole?.history.steps.map(({ loss }) => loss) ?? [];
  const mean = (part: readonly number[]): number => part.reduce((a, b) => a + b, 0) / part.length;
  t.ok(mean(losses.slice(-6)) < 0.6 * mean(losses.slice(0, 6)), 'the loss fell');

  const file = join(folder, 'checkpoint.bin');
  t.equal((await run(folder, data, Infinity))?.hash, whole?.hash, 'a run that is done is done');

  const bytes = readFileSync(file);
  bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1;
  writeFileSync(file, bytes);
  await t.rejects(run(folder, data, Infinity), 'an altered checkpoint is refused');
});
