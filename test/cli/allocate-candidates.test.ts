// `bitlane allocate --data`: the candidate that does the least damage as a whole is kept; what it cannot be done without is said.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { makeFixture } from '../significance/fixture.js';
import { json, runMany } from './lines.js';

const folder = t.testdir();
const { home, data } = await makeFixture(folder);
const map = join(folder, 'map.json');
const bits = join(folder, 'bits.json');

interface Document {
  readonly objective: string;
  readonly allocation: unknown;
  readonly measured: { readonly averageBits: number };
  readonly candidates: readonly {
    readonly objective: string;
    readonly damage: number | null;
    readonly effects: unknown;
    readonly sameAs?: string;
    readonly isChosen: boolean;
  }[];
  readonly notes: readonly string[];
}

const base = ['allocate', '--model', home, '--bits-average', '4'];
const mapped = [...base, '--significance', map];
const tried = [...mapped, '--data', data, '--calibration', '4'];

t.before(async () => {
  const measure = ['significance', '--model', home, '--data', data, '--pairs', 'bus:car,car:truck'];
  const [made] = await runMany(folder, [
    [...measure, '--calibration', '4', '--weights-only', '--cache', join(folder, 'cache'), '--out', map],
  ]);
  if (made?.code !== 0) throw new Error(made?.stderr);
});

t.test('the best whole model is kept, by default and among those that are named', async (t) => {
  const [all, text, two, alone, none] = await runMany(folder, [
    [...tried, '--out', bits, '--json'],
    tried,
    [...tried, '--objective', 'uniform', '--candidates', 'semantic', '--json'],
    [...mapped, '--json'],
    [...tried, '--candidates', 'none', '--json'],
  ]);
  for (const each of [all, text, two, alone, none]) t.equal(each?.code, 0, each?.stderr ?? '');
  const found = json(all?.stdout ?? '') as unknown as Document;
  t.same(
    found.candidates.map(({ objective }) => objective),
    ['semantic', 'semanticGuarded', 'semanticLean', 'taskAgnostic', 'relativeWeightError', 'uniform'],
  );
  const measured = found.candidates.flatMap(({ objective, damage }) =>
    damage === null ? [] : [{ objective, damage }],
  );
  t.ok(measured.length > 1, 'more than one was measured');
  const least = measured.reduce((a, b) => (b.damage < a.damage ? b : a));
  t.equal(found.objective, least.objective);
  t.same(
    found.candidates.filter(({ isChosen }) => isChosen).map(({ objective }) => objective),
    [least.objective],
  );
  for (const { damage, effects, sameAs } of found.candidates) {
    if (damage === null) t.ok(sameAs !== undefined, 'all of them fit');
    else t.match(effects, { divergence: Number, objectness: Number, box: Number, others: Number });
  }
  t.same(JSON.parse(readFileSync(bits, 'utf8')), found.allocation);
  t.match(found.notes.join(), /few pictures/, 'the map has seen them all');
  t.match(text?.stdout, /^candidate +damage of the whole/m);
  t.match(text?.stdout, /^\w+ +[\d.]+ +chosen$/m);
  const named = json(two?.stdout ?? '') as unknown as Document;
  t.same(
    named.candidates.map(({ objective }) => objective),
    ['uniform', 'semantic'],
  );
  const only = json(alone?.stdout ?? '') as unknown as Document;
  t.same(only.candidates, [], 'without pictures nothing is compared');
  t.equal(only.objective, 'semantic');
  t.same((json(none?.stdout ?? '') as unknown as Document).allocation, only.allocation);
});

t.test('what candidates need is said', async (t) => {
  const cases: [string[], RegExp][] = [
    [[...mapped, '--candidates', 'uniform'], /--candidates needs --data/],
    [[...tried, '--candidates', 'best'], /--candidates takes semantic, /],
    [
      [...base, '--objective', 'uniform', '--data', data, '--candidates', 'uniform,semantic'],
      /--candidates needs --significance/,
    ],
    [[...mapped, '--data', join(folder, 'gone')], /gone/],
    [[...mapped, '--data', data, '--calibration', '0'], /--calibration takes/],
    [[...mapped, '--data', data, '--map', 'nothing'], /nothing/],
  ];
  const printed = await runMany(
    folder,
    cases.map(([line]) => [...line, '--json']),
  );
  for (const [index, [line, pattern]] of cases.entries()) {
    const { code, stdout, stderr } = printed[index] ?? { code: -1, stdout: '', stderr: '' };
    t.equal(code, 2, `${line.join(' ')}: ${stdout}`);
    t.match((json(stdout) as { error?: { message: string } }).error?.message, pattern);
    t.match(stderr, /^bitlane: [^\n]+\n$/);
  }
});
