// `bitlane scene` as it is called.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import t from 'tap';
import { packageRoot } from '../../src/system/index.js';

const run = (...args: string[]) =>
  spawnSync(process.execPath, [join(packageRoot, 'dist/src/cli/main.js'), 'scene', ...args], {
    encoding: 'utf8',
    timeout: 120_000,
  });

t.test('writes a data set and says what is in it', async (t) => {
  const folder = join(t.testdir({}), 'road');
  const { status, stdout } = run(
    '--out',
    folder,
    '--pictures',
    '6',
    '--size',
    '320x192',
    '--light',
    'night',
    '--json',
  );
  t.equal(status, 0);
  const { pictures } = JSON.parse(stdout) as { pictures: Record<string, number> };
  t.equal(
    Object.values(pictures).reduce((sum, count) => sum + count, 0),
    6,
  );
  t.match(readFileSync(join(folder, 'data.yaml'), 'utf8'), /hatchback/);
});

t.test('splits as it is told', (t) => {
  const folder = join(t.testdir({}), 'road');
  const { status, stdout } = run(
    ...['--out', folder, '--pictures', '48', '--size', '128x96', '--shares', '2,2,0', '--json'],
  );
  t.equal(status, 0);
  t.same((JSON.parse(stdout) as { pictures: unknown }).pictures, { train: 24, val: 24, test: 0 });
  t.end();
});

t.test('draws the sheet', async (t) => {
  const file = join(t.testdir({}), 'sheet.png');
  t.equal(run('--sheet', file).status, 0);
  const { width, height, format } = await sharp(file).metadata();
  t.equal(format, 'png');
  t.ok(width > 800 && height > 800);
});

t.test('bad options get one sentence and leave nothing', async (t) => {
  const folder = join(t.testdir({}), 'road');
  for (const args of [
    [],
    ['--out', folder, '--size', '3x3'],
    ['--out', folder, '--weather', 'snow'],
    ['--out', folder, '--pictures', 'many'],
    ['--out', folder, '--shares', '0,1,1'],
    ['--out', folder, '--shares', '80,20'],
    ['--sheet', join(folder, 'sheet.gif')],
  ]) {
    const { status, stderr } = run(...args);
    t.equal(status, 2, args.join(' '));
    t.equal(stderr.trim().split('\n').length, 1, stderr);
    t.equal(existsSync(folder), false);
  }
});
