// `bitlane profile` from the command line: one document, a table, a file that is refused elsewhere, plain sentences.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { parseProfile } from '../../src/allocation/index.js';
import { runBounded } from '../../src/system/index.js';
import { tinyDetector } from '../helpers/tinyModel.js';

const main = fileURLToPath(new URL('../../src/cli/main.js', import.meta.url));

const run = async (...args: string[]) => {
  const { code, stdout, stderr } = await runBounded(process.execPath, [main, ...args], {
    deadlineMs: 120_000,
  });
  return { code, stdout, stderr };
};

/** A profile takes the longer the busier the machine is, and says so: it is asked for again, with more time. */
const profiled = async (...args: string[]) => {
  let answer = await run('profile', ...args, '--seconds', '4');
  for (const seconds of ['15', '60']) {
    if (!answer.stderr.includes('give more with --seconds')) break;
    answer = await run('profile', ...args, '--seconds', seconds);
  }
  return answer;
};

const CLASSES = ['car', 'truck'];
const folder = t.testdir({});

/** An artifact folder with a real small detector. */
const artifact = (name: string, delayLayers: number): string => {
  const { bytes, manifest } = tinyDetector({ head: 'yolox', classes: CLASSES, delayLayers, name });
  const path = join(folder, name);
  mkdirSync(path);
  writeFileSync(join(path, 'model.onnx'), bytes);
  writeFileSync(join(path, 'manifest.json'), JSON.stringify(manifest));
  return path;
};

t.test('one document, the same in a file; peak memory from real detector processes', async (t) => {
  const out = join(folder, 'tiny.profile.json');
  const model = artifact('tiny', 4);
  const { code, stdout, stderr } = await profiled('--model', model, '--out', out, '--json');
  t.equal(stderr, '');
  t.equal(code, 0);
  t.match(stdout, /^[^\n]+\n$/);
  const profile = parseProfile(stdout, 'stdout');
  t.same(parseProfile(readFileSync(out, 'utf8'), out), profile);
  t.equal(profile.threads, 1);
  t.ok(profile.regions.length > 0 && profile.samples.length > 3);
  t.ok(profile.plan.latencyRatio <= 1);
  for (const peak of Object.values(profile.memoryMb)) t.ok((peak ?? 0) > 20 && (peak ?? 0) < 2000);
});

t.test('without --json people get a table', async (t) => {
  const { code, stdout } = await profiled('--model', join(folder, 'tiny'));
  t.equal(code, 0);
  t.match(stdout, /^region +layers +fp32 ms +int8 ms +plan$/m);
  t.match(stdout, /^whole model +time +to fp32 +peak memory$/m);
  t.match(stdout, /measured side by side in \d+ rounds/);
});

t.test('bad input gets a plain sentence and exit code 2', async (t) => {
  const cases: readonly (readonly [RegExp, ...string[]])[] = [
    [/is no artifact folder/, 'profile', '--model', join(folder, 'absent')],
    [/--threads takes a whole number/, 'profile', '--model', join(folder, 'tiny'), '--threads', '0'],
    [/--seconds takes a number/, 'profile', '--model', join(folder, 'tiny'), '--seconds', 'soon'],
    [/no layer that can run in int8/, 'profile', '--model', artifact('bare', 0), '--seconds', '2'],
  ];
  for (const [message, ...args] of cases) {
    const { code, stdout, stderr } = await run(...args);
    t.equal(code, 2, String(message));
    t.match(stderr, message);
    t.equal(stdout, '');
  }
});

t.test('--help shows an example', async (t) => {
  const { code, stdout } = await run('profile', '--help');
  t.equal(code, 0);
  t.match(stdout, /Example:\n {2}bitlane profile --model/);
});
