// `bitlane significance` from the command line: one document, a map and its picture, plain sentences, exit codes.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { parseSignificance, type SignificanceMap } from '../../src/significance/index.js';
import { makeFixture } from '../significance/fixture.js';
import { runMany } from './lines.js';

const folder = t.testdir();
const { home, data } = await makeFixture(folder);

t.test('a map, its picture, and what is refused', async (t) => {
  const out = join(folder, 'map.json');
  const svg = join(folder, 'map.svg');
  const base = ['significance', '--model', home, '--data', data, '--cache', join(folder, 'cli')];
  const small = [...base, '--bits', '2', '--calibration', '4', '--pairs', 'bus:car,car:truck'];
  const [made, text, free, ...bad] = await runMany(folder, [
    [...small, '--costs', 'bus:car=2', '--out', out, '--svg', svg, '--json'],
    [...small],
    [...small, '--label-free', '--json'],
    [...base, '--granularity', 'channel', '--json'],
    [...base, '--bits', '3', '--json'],
    [...base, '--pairs', 'bus:plane', '--json'],
    [...base, '--label-free', '--json'],
    [...base, '--rounding', 'up', '--json'],
  ]);
  t.equal(made?.code, 0, made?.stderr ?? '');
  const document = JSON.parse(made?.stdout ?? '') as SignificanceMap & { notes: unknown };
  const { notes, ...map } = document;
  t.ok(Array.isArray(notes));
  t.same(parseSignificance(readFileSync(out, 'utf8'), out), map);
  t.equal(map.critical.labelled, true);
  t.same(map.critical.costs, [{ truth: 'bus', predicted: 'car', cost: 2 }]);
  const [first] = Object.values(map.components);
  t.type(first?.weights['2']?.signed?.mean, 'number');
  t.equal(typeof map.reliability.weights['2']?.signed, 'number');
  t.match(readFileSync(svg, 'utf8'), /<svg/);
  t.equal(text?.code, 0, text?.stderr ?? '');
  t.match(text?.stdout, /weights at 2 bits; split-half rank correlation: robust/);
  t.equal(free?.code, 0, free?.stderr ?? '');
  t.equal((JSON.parse(free?.stdout ?? '') as SignificanceMap).critical.labelled, false);
  t.same(
    bad.map(({ code }) => code),
    [1, 2, 2, 2, 2],
  );
  for (const { stdout } of bad) {
    t.match(JSON.parse(stdout), { error: { code: /^(UNSUPPORTED|BAD_USAGE)$/, message: String } });
  }
});
