// `bitlane experiment`: every kind of row on a tiny detector, a report, and a second run that measures nothing again.
import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import type { ExperimentResult } from '../../src/experiment/index.js';
import { smallNetwork, writeBoxes } from '../training/boxes-data.js';
import { type Printed, runMany } from './lines.js';

const folder = t.testdir();
const at = (name: string): string => join(folder, name);

const ROWS = [
  'fp32',
  'fp32-trained',
  'ptq8-percentile',
  'dfq8-equalized',
  'dfq8-distilled',
  'ptq4-gptq',
  'qat3-lsq',
  'fqn4',
  'mixed-hawq',
  'mixed-haq',
  'mixed-paperFilters',
  'mixed-product',
  'trained-product',
];

const parsed = ({ code, stdout, stderr }: Printed): ExperimentResult => {
  if (code !== 0) throw new Error(stderr);
  return JSON.parse(stdout) as ExperimentResult;
};

t.test('rows of every kind', async (t) => {
  const data = at('data');
  mkdirSync(data);
  await writeBoxes(data);
  writeFileSync(at('small.json'), JSON.stringify(smallNetwork));
  const experiment = [
    ...['experiment', '--model', at('fresh'), '--data', data, '--out', at('work'), '--quick', '--json'],
    ...['--pairs', 'red:blue', '--seeds', '1,2', '--places', '-'],
  ];
  const results = await runMany(folder, [
    [
      ...['train', '--definition', at('small.json'), '--data', data, '--out', at('fresh'), '--steps', '60'],
      ...['--batch', '4', '--learning-rate', '0.01', '--mosaic', '0', '--json'],
    ],
    [...experiment, '--rows', ROWS.join()],
    [...experiment, '--rows', 'fp32,mixed-haq'],
    [...experiment, '--rows', 'fp32', '--times'],
    [...experiment, '--rows', 'fp32', '--seeds', '2'],
  ]);
  const [, first, second, third, fourth] = results;
  if (first === undefined || second === undefined || third === undefined || fourth === undefined)
    throw new Error('no results');
  const result = parsed(first);
  t.same(
    result.rows.map(({ id }) => id),
    ROWS,
  );
  const bytesOf = new Map<string, number>();
  for (const { id, runs } of result.rows) {
    t.equal(runs.length, /haq|qat|fqn|trained|dfq/.test(id) ? 2 : 1, `${id} is repeated where it is random`);
    for (const { seed, result: run } of runs) {
      if (run.status === 'impossible') {
        t.equal(id, 'dfq8-distilled', run.reason);
        continue;
      }
      t.equal(run.figures.map50?.rounds.length, 100);
      bytesOf.set(id, run.modelBytes);
      if (id !== 'fp32') {
        const { size } = statSync(join(at('work'), 'models', `${id}-${seed}.onnx`));
        t.equal(size, run.modelBytes, `the model of ${id} is kept`);
      }
    }
  }
  for (const id of ROWS.filter((name) => name.startsWith('mixed') || name.startsWith('trained'))) {
    const bytes = bytesOf.get(id) ?? Infinity;
    t.ok(bytes <= result.budget.modelBytes, `${id}: ${bytes} of ${result.budget.modelBytes} bytes`);
  }
  t.equal(result.data.validation.places, 11);
  const page = readFileSync(join(at('work'), 'experiment.html'), 'utf8');
  t.match(page, /What holds, and what does not/);
  t.match(page, /The significance map/);
  t.match(page, /resampled places \(11, each with all of its pictures; so few/);
  t.notMatch(page, /<script|https?:\/\/(?!www\.w3\.org)/, 'nothing is fetched');
  const again = parsed(second);
  const of = (from: ExperimentResult, id: string) => from.rows.find((row) => row.id === id)?.runs;
  for (const id of ['fp32', 'mixed-haq'])
    t.same(of(again, id), of(result, id), `${id} is not measured again`);
  const timed = parsed(third);
  const ratios = (from: ExperimentResult) =>
    from.rows.flatMap(({ id, runs }) =>
      runs.flatMap(({ seed, result: run }) =>
        run.status === 'measured' ? [`${id} ${seed}: ${run.latencyRatio.value}`] : [],
      ),
    );
  const [before, after] = [ratios(again), ratios(timed)];
  const isSame = (i: number): boolean => before[i] === after[i];
  t.same(
    before.filter((_, i) => isSame(i)).map((line) => line.split(' ')[0]),
    [],
    'times of all rows are taken anew',
  );
  t.same(ratios(parsed(fourth)), after, 'and stay');
});

t.test('plain errors', async (t) => {
  const given = ['experiment', '--model', at('fresh'), '--data', at('data'), '--out', at('x')];
  const refused = await runMany(folder, [
    ['experiment', '--model', at('fresh')],
    [...given, '--rows', 'fp33', '--pairs', 'red:blue'],
    [...given, '--seeds', 'one'],
    [...given, '--pairs', 'red:green'],
    [...given, '--pairs', 'red:blue', '--places', '#'],
    [...given, '--pairs', 'red:blue', '--places', ''],
    [...given, '--pairs', 'red:blue', '--places', '.'],
    [...given, '--pairs', 'red:blue', '--places', '-', '--limit', '5'],
    [...given, '--seeds', '1,1'],
    [...given.slice(0, 5), '--out', at('work'), '--pairs', 'red:blue', '--quick'],
    [
      ...given.slice(0, 5),
      '--out',
      at('work'),
      '--pairs',
      'red:blue',
      '--quick',
      '--places',
      '-',
      '--steps',
      '5',
    ],
  ]);
  const rules = [
    /needs --model, --data and --out/,
    /no row "fp33"/,
    /--seeds takes whole numbers/,
    /green/,
    /12 of 12 judged pictures do not have "#" in their names \(0-0\.png/,
    /do not have "" in their names/,
    /by "\.", every judged picture is a place of its own/,
    /by "-", the judged pictures are of 4 places, and intervals over places need at least 10/,
    /has a seed twice/,
    /work holds an experiment with other places: name a new folder/,
    /work holds an experiment with another scale: name a new folder/,
  ];
  t.equal(refused.length, rules.length);
  for (const [i, { code, stderr }] of refused.entries()) {
    t.equal(code, 2, stderr);
    t.match(stderr, rules[i] ?? /^$/);
  }
});
