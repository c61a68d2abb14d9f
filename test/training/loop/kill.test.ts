// A run that is killed again and again ends with the weights of one that was not; and training learns.
import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import sharp from 'sharp';
import t, { type Test } from 'tap';

const CHILD = fileURLToPath(new URL('./child.js', import.meta.url));
const STEPS = 36;

/** Pictures of one red or blue box on grey. */
const makeData = async (t: Test): Promise<string> => {
  const folder = t.testdir();
  for (const part of ['images', 'labels']) mkdirSync(join(folder, part));
  for (let i = 0; i < 12; i += 1) {
    const [w, h] = [20 + (i % 3) * 6, 18 + (i % 4) * 5];
    const [x, y] = [4 + ((i * 7) % 20), 3 + ((i * 11) % 20)];
    const background = i % 2 === 0 ? { r: 230, g: 20, b: 20 } : { r: 20, g: 20, b: 230 };
    const box = await sharp({ create: { width: w, height: h, channels: 3, background } })
      .png()
      .toBuffer();
    await sharp({ create: { width: 64, height: 64, channels: 3, background: { r: 110, g: 110, b: 110 } } })
      .composite([{ input: box, left: x, top: y }])
      .png()
      .toFile(join(folder, 'images', `${i}.png`));
    const row = [(x + w / 2) / 64, (y + h / 2) / 64, w / 64, h / 64].join(' ');
    writeFileSync(join(folder, 'labels', `${i}.txt`), `${i % 2} ${row}\n`);
  }
  writeFileSync(join(folder, 'data.yaml'), 'train: images\nnames: [red, blue]\n');
  return folder;
};

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
  const data = await makeData(t);
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
  const bytes = readFileSync(file);
  bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1;
  writeFileSync(file, bytes);
  await t.rejects(run(folder, data, Infinity), 'an altered checkpoint is refused');
});
