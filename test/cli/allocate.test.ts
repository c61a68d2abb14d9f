// `bitlane allocate` from the command line: a file that `bitlane quantize` takes, budgets that its artifact meets, plain sentences.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import t from 'tap';
import { latencyOf, type Profile, profileModel } from '../../src/allocation/index.js';
import { readModel } from '../../src/onnx/index.js';
import { componentsOf, parseAllocation, prepareModel } from '../../src/quantization/index.js';
import { readArtifactFolder } from '../../src/registry/index.js';
import { floatTensor } from '../../src/runtime/index.js';
import { type MapEntry, mapOf } from '../allocation/maps.js';
import { tinyDetector } from '../helpers/tinyModel.js';
import { type Printed, runMany } from './lines.js';

const folder = t.testdir();
const model = join(folder, 'model');
const data = join(folder, 'data');
const map = join(folder, 'map.json');
const profilePath = join(folder, 'profile.json');

interface Document {
  readonly objective: string;
  readonly damage: number;
  readonly gap: number;
  readonly predicted: Readonly<Record<string, number>>;
  readonly measured: Readonly<Record<string, number>>;
  readonly rounds: readonly unknown[];
  readonly front?: readonly unknown[];
  readonly notes: readonly string[];
  readonly error?: { readonly code: string; readonly message: string };
}

const json = ({ stdout }: Printed): Document => {
  if (!/^[^\n]+\n$/.test(stdout)) throw new Error(`not one line: ${stdout}`);
  return JSON.parse(stdout) as Document;
};

let names: string[] = [];
let wholeBytes = 0;

t.before(async () => {
  const boxes = [{ x1: 8, y1: 8, x2: 24, y2: 24, classId: 0, score: 0.9 }];
  const { bytes, manifest } = tinyDetector({
    head: 'yolox',
    classes: ['car', 'truck'],
    boxes,
    delayLayers: 4,
  });
  mkdirSync(model);
  wholeBytes = bytes.length;
  writeFileSync(join(model, 'model.onnx'), bytes);
  writeFileSync(join(model, 'manifest.json'), JSON.stringify(manifest));
  mkdirSync(join(data, 'images', 'train'), { recursive: true });
  mkdirSync(join(data, 'labels', 'train'), { recursive: true });
  const create = { width: 64, height: 64, channels: 3 as const, background: { r: 90, g: 60, b: 20 } };
  writeFileSync(join(data, 'images', 'train', '0.png'), await sharp({ create }).png().toBuffer());
  writeFileSync(join(data, 'labels', 'train', '0.txt'), '0 0.25 0.25 0.25 0.25\n');
  writeFileSync(join(data, 'data.yaml'), 'train: images/train\nval: images/train\nnames: [car, truck]\n');
  const artifact = await readArtifactFolder(model);
  const source = readModel(artifact.modelPath);
  names = componentsOf(prepareModel(source)).map(({ name }) => name);
  const entry = (value: number) => ({
    signed: value,
    divergence: value,
    objectness: value / 2,
    box: value / 3,
    others: value / 4,
    outputError: value,
    weightError: value,
  });
  const entries = names.map((name, i): [string, MapEntry] => [
    name,
    {
      weights: { '2': entry(4 + i), '4': entry(1 + i / 2), '8': entry(0.01) },
      activations: entry(0.1 + i / 100),
    },
  ]);
  writeFileSync(map, JSON.stringify(mapOf(Object.fromEntries(entries), 0.9, artifact.id)));
  const { name, width, height } = manifest.detector.input;
  const feed = { [name]: floatTensor([1, 3, height, width], new Float32Array(3 * width * height).fill(9)) };
  let profile: Profile | undefined;
  for (const seconds of [4, 15, 60]) {
    try {
      ({ profile } = await profileModel(source, () => [feed], {
        model: { id: artifact.id, name: 'tiny' },
        threads: 1,
        seconds,
        plans: 9,
      }));
      break;
    } catch (error) {
      if (seconds === 60) throw error;
    }
  }
  writeFileSync(profilePath, JSON.stringify(profile));
});

const base = ['allocate', '--model', model];

t.test('an allocation whose artifact is within the budget, as bitlane quantize makes it', async (t) => {
  const bits = join(folder, 'bits.json');
  const out = join(folder, 'made');
  const budget = Math.round(wholeBytes / 3);
  const [allocated, made] = await runMany(folder, [
    [...base, '--significance', map, '--budget-bytes', String(budget), '--out', bits, '--json'],
    ['quantize', '--model', model, '--data', data, '--bits', bits, '--out', out, '--json'],
  ]);
  if (!allocated || !made) throw new Error('two results');
  t.equal(allocated.code, 0, allocated.stderr);
  const document = json(allocated);
  t.equal(document.gap, 0);
  t.equal(document.objective, 'semantic');
  t.same(document.notes, []);
  t.ok((document.measured['modelBytes'] ?? Infinity) <= budget);
  const allocation = parseAllocation(readFileSync(bits, 'utf8'), bits);
  t.same(Object.keys(allocation.components), names);
  t.ok(Object.values(allocation.components).every(({ execution }) => execution === 'fp32'));
  t.equal(made.code, 0, made.stderr);
  const { length } = readFileSync(join(out, 'model.onnx'));
  t.ok(length <= budget, `${length} bytes of ${budget}`);
  t.ok(length > 0.7 * budget, 'and it was used');
});

t.test('time and memory by the profile; the front as a table and as a picture', async (t) => {
  const profile = JSON.parse(readFileSync(profilePath, 'utf8')) as Profile;
  const predict = latencyOf(profile, readModel(join(model, 'model.onnx')));
  const svg = join(folder, 'front.svg');
  const bits = join(folder, 'fast.json');
  const withProfile = [...base, '--significance', map, '--profile', profilePath];
  const [fast, drawn, text] = await runMany(folder, [
    [
      ...withProfile,
      '--budget-latency',
      '1e5',
      '--budget-bytes',
      String(wholeBytes),
      '--out',
      bits,
      '--json',
    ],
    [...withProfile, '--bits-average', '4', '--no-measure', '--front', svg, '--json'],
    [...withProfile, '--bits-average', '4', '--no-measure', '--objective', 'relativeWeightError'],
  ]);
  if (!fast || !drawn || !text) throw new Error('three results');
  t.equal(fast.code, 0, fast.stderr);
  t.ok((json(fast).measured['latencyMs'] ?? 0) > 0, 'the artifact ran');
  const said = json(fast).predicted['latencyMs'] ?? 0;
  const { milliseconds } = predict(parseAllocation(readFileSync(bits, 'utf8'), bits));
  t.ok(Math.abs(said - milliseconds) < 1e-6, `${said} ms, ${milliseconds} ms`);
  t.equal(drawn.code, 0, drawn.stderr);
  const document = json(drawn);
  t.ok((document.front ?? []).length > 3);
  t.ok((document.predicted['averageBits'] ?? 9) <= 4);
  t.match(readFileSync(svg, 'utf8'), /^<svg [^]*<polyline [^]*<\/svg>\n$/);
  t.equal(text.code, 0, text.stderr);
  t.match(text.stdout, /^layer +weights +bits +kernel +of the damage$/m);
  t.match(text.stdout, /^bits +layers +of the weights/m);
  t.match(text.stdout, /^bits a weight +\d\.\d+ +- +4\.000$/m);
});

t.test('budgets that cannot be met, and bad options, get one sentence', async (t) => {
  const out = join(folder, 'none.json');
  const other = join(folder, 'other.json');
  writeFileSync(other, JSON.stringify(mapOf({ a: { weights: {} } }, 1)));
  const broken = join(folder, 'broken.json');
  writeFileSync(broken, '{"format": ');
  const cases: [string[], RegExp][] = [
    [['--significance', map], /needs a budget: give --budget-bytes/],
    [
      ['--budget-bytes', '100', '--significance', map],
      /the nearest that can be met: \d+ bytes at least \(100 bytes/,
    ],
    [['--budget-bytes', '9999999'], /needs a significance map/],
    [['--budget-latency', '5', '--significance', map], /--budget-latency needs --profile/],
    [['--budget-memory', '5', '--significance', map], /--budget-memory needs --profile/],
    [
      ['--budget-memory', '5', '--significance', map, '--profile', profilePath],
      /the profile has no memory in it/,
    ],
    [
      ['--budget-latency', '0', '--significance', map, '--profile', profilePath],
      /the nearest that can be met: \d+\.\d+ ms at least/,
    ],
    [['--bits-average', '1', '--significance', map], /--bits-average takes a number from 2 to 32/],
    [['--bits-average', '4', '--significance', other], /was measured on another model/],
    [['--bits-average', '4', '--significance', broken], /broken\.json is not JSON/],
    [['--bits-average', '4', '--significance', join(folder, 'gone')], /gone cannot be read/],
    [['--bits-average', '4', '--significance', map, '--objective', 'best'], /--objective takes semantic, /],
    [
      ['--bits-average', '4', '--significance', map, '--execution', 'fp16'],
      /--execution takes free, fp32, int8/,
    ],
    [['--bits-average', '4', '--significance', map, '--profile', broken], /broken\.json is not JSON/],
    [
      ['--bits-average', '4', '--significance', map, '--profile', join(folder, 'gone')],
      /gone cannot be read/,
    ],
  ];
  const printed = await runMany(
    folder,
    cases.map(([args]) => [...base, ...args, '--out', out, '--json']),
  );
  for (const [index, [args, pattern]] of cases.entries()) {
    const found = printed[index];
    if (found === undefined) throw new Error('a result');
    t.equal(found.code, 2, `${args.join(' ')}: ${found.stdout}`);
    t.match(json(found).error?.message ?? '', pattern);
    t.match(found.stderr, /^bitlane: [^\n]+\n$/);
  }
  t.notOk(existsSync(out));
});
