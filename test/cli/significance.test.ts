// `bitlane significance` from the command line: one document, a map and its picture, plain sentences, exit codes.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import {
  type FilterMap,
  parseSignificance,
  readAnySignificance,
  type SignificanceMap,
} from '../../src/significance/index.js';
import { makeFixture } from '../significance/fixture.js';
import { runMany } from './lines.js';

const folder = t.testdir();
const { home, data } = await makeFixture(folder);

t.test('a map, its picture, and what is refused', async (t) => {
  const out = join(folder, 'map.json');
  const svg = join(folder, 'map.svg');
  const base = ['significance', '--model', home, '--data', data, '--cache', join(folder, 'cli')];
  const small = [...base, '--bits', '2', '--calibration', '4', '--pairs', 'bus:car,car:truck'];
  const filters = join(folder, 'filters.json');
  const filterSvg = join(folder, 'filters.svg');
  const byFilter = [...small, '--granularity', 'channel', '--exact', '3', '--baselines'];
  const bits = join(folder, 'bits.json');
  const allocate = ['allocate', '--model', home, '--significance', filters];
  const [made, text, free, channels, said, allocated, packed, ...bad] = await runMany(folder, [
    [...small, '--costs', 'bus:car=2', '--out', out, '--svg', svg, '--json'],
    [...small],
    [...small, '--label-free', '--json'],
    [...byFilter, '--out', filters, '--svg', filterSvg, '--json'],
    byFilter,
    [...allocate, '--objective', 'hawq', '--bits-average', '3', '--out', bits, '--json'],
    ['quantize', '--model', home, '--data', data, '--bits', bits, '--out', join(folder, 'mixed'), '--json'],
    [...base, '--exact', '3', '--json'],
    [...byFilter, '--processes', '2', '--json'],
    [...allocate, '--budget-latency', '3', '--json'],
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
  t.equal(channels?.code, 0, channels?.stderr ?? '');
  const { notes: __, ...filterMap } = JSON.parse(channels?.stdout ?? '') as FilterMap & { notes: unknown };
  t.same(readAnySignificance(filters), filterMap);
  t.same(Object.keys(filterMap.components), Object.keys(map.components));
  t.equal(Object.values(filterMap.exact).flat().length, 3);
  t.match(readFileSync(filterSvg, 'utf8'), /Which filters tell/);
  t.match(said?.stdout, /filters; split-half rank correlation/, said?.stderr ?? '');
  t.match(said?.stdout, /exact/);
  t.equal(allocated?.code, 0, allocated?.stderr ?? '');
  const { measured } = JSON.parse(allocated?.stdout ?? '') as { measured: { averageBits: number } };
  t.ok(measured.averageBits <= 3);
  t.equal(packed?.code, 0, packed?.stderr ?? '');
  t.same(
    bad.map(({ code }) => code),
    [2, 2, 2, 2, 2, 2, 2],
  );
  for (const { stdout } of bad) {
    t.match(JSON.parse(stdout), { error: { code: /^(UNSUPPORTED|BAD_USAGE)$/, message: String } });
  }
});
