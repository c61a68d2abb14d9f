// `bitlane models import|verify` and `bitlane eval` from the command line: one document, plain sentences, exit codes.
import { chownSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import sharp from 'sharp';
import t from 'tap';
import { tinyDetector } from '../helpers/tinyModel.js';
import { importBare, json, run, runMany } from './lines.js';

t.setTimeout(240_000);

const CLASSES = ['car', 'truck'];
const BOXES = [{ x1: 8, y1: 8, x2: 24, y2: 24, classId: 0, score: 0.9 }];

const folder = t.testdir({ 'names.txt': 'car\ntruck\n' });
const file = join(folder, 'tiny.onnx');
const data = join(folder, 'data');
const model = join(folder, 'artifact');

t.before(async () => {
  writeFileSync(file, tinyDetector({ head: 'yolox', classes: CLASSES, boxes: BOXES }).bytes);
  mkdirSync(join(data, 'images', 'val'), { recursive: true });
  mkdirSync(join(data, 'labels', 'val'), { recursive: true });
  const picture = await sharp({ create: { width: 64, height: 64, channels: 3, background: '#808080' } })
    .png()
    .toBuffer();
  for (const i of [0, 1, 2]) {
    writeFileSync(join(data, 'images', 'val', `${i}.png`), picture);
    writeFileSync(join(data, 'labels', 'val', `${i}.txt`), '0 0.25 0.25 0.25 0.25\n');
  }
  writeFileSync(join(data, 'data.yaml'), 'val: images/val\nnames: [car, truck]\n');
});

t.test('imports into a folder, verifies it, measures it', async (t) => {
  const imported = await run(
    'models',
    'import',
    file,
    '--head',
    'yolox',
    '--names',
    join(folder, 'names.txt'),
    '--out',
    model,
    '--scale',
    '1/255',
    '--licence',
    'MIT',
    '--json',
  );
  t.equal(imported.code, 0, imported.stderr);
  t.match(json(imported.stdout), {
    name: 'tiny',
    active: false,
    manifest: {
      detector: { classes: CLASSES, input: { scale: [1 / 255, 1 / 255, 1 / 255] } },
      origin: { licence: 'MIT' },
    },
  });
  const [again, verified, measured, text] = await runMany(folder, [
    ['models', 'import', file, '--head', 'yolox', '--names', 'car,truck', '--out', model],
    ['models', 'verify', model, '--json'],
    ['eval', '--model', model, '--data', data, '--json'],
    ['eval', '--model', model, '--data', data, '--limit', '1'],
  ]);
  if (!again || !verified || !measured || !text) throw new Error('four results');
  t.equal(again.code, 2);
  t.match(again.stderr, /^bitlane: .* is there already: an artifact goes into a new folder\n$/);
  t.match([verified.code, json(verified.stdout)], [0, { ok: true, models: [{ ok: true, name: 'tiny' }] }]);
  t.equal(measured.code, 0, measured.stderr);
  t.match(json(measured.stdout), {
    map50: 1,
    map5095: 1,
    intervals: { map50: { low: 1, high: 1 } },
    classes: [
      { name: 'car', objects: 3, ap50: 1, inModel: true },
      { name: 'truck', objects: 0, ap50: null },
    ],
    confusion: {
      labels: ['car', 'truck', 'background'],
      counts: [
        [3, 0, 0],
        [0, 0, 0],
        [0, 0, 0],
      ],
    },
    criticalAccuracy: { value: null },
    latency: { samples: 3 },
    data: { pictures: 3, objects: 3, split: 'val' },
    device: { node: process.version },
  });
  t.match(text.stdout, /^mAP50 {5}1\.000/m);
  t.match(text.stdout, /^car +1 +0 +0$/m);
});

t.test('installs into a state folder; the id is a name from then on', async (t) => {
  const state = join(folder, 'state');
  const [imported, listed] = await runMany(folder, [
    ['models', 'import', file, '--head', 'yolox', '--names', 'car,truck', '--state', state, '--json'],
    ['models', 'list', '--state', state, '--json'],
  ]);
  if (!imported || !listed) throw new Error('two results');
  t.equal(imported.code, 0, imported.stderr);
  const { id, active } = json(imported.stdout);
  t.equal(active, true);
  t.match(json(listed.stdout), { active: id, factory: id, models: [{ id, name: 'tiny' }] });
  const [verified] = await runMany(folder, [['models', 'verify', String(id).slice(0, 8), '--state', state]]);
  t.equal(verified?.code, 0, verified?.stderr ?? '');
  t.match(verified?.stdout, /is whole and runs/);
});

t.test('bad options get one sentence', async (t) => {
  const base = importBare(file, '--out', join(folder, 'no'));
  const cases: [string[], RegExp][] = [
    [['--head', 'ssd'], /--head takes yolox, yolov8, end-to-end, gfl, not "ssd"/],
    [['--names', 'no.txt'], /no\.txt does not exist/],
    [['--names', ','], /--names gives no class name/],
    [['--input', '64by64'], /--input takes a size such as 416x416/],
    [['--mean', '1,2'], /--mean takes one number or three/],
    [['--scale', '1/0'], /--scale takes one number or three/],
    [['--pad', '300'], /--pad takes a whole number from 0 to 255/],
    [['--strides', '8,x'], /--strides takes a whole number from 1 to 256, not "x"/],
  ];
  const printed = await runMany(
    folder,
    cases.map(([args]) => [...base, ...args, '--json']),
  );
  for (const [index, [args, pattern]] of cases.entries()) {
    const { code, stdout, stderr } = printed[index] ?? { code: 0, stdout: '', stderr: '' };
    t.equal(code, 2, args.join(' '));
    t.match((json(stdout)['error'] as { message: string }).message, pattern);
    t.match(stderr, /^bitlane: [^\n]+\n$/);
  }
});

t.test('eval prints one document whatever it is given', async (t) => {
  const garbage = fc.oneof(fc.string({ unit: 'grapheme', maxLength: 12 }), fc.double().map(String)).filter(
    // Commander takes what starts with a dash for an option; a NUL ends an argument.
    (text) => !text.startsWith('-') && !text.includes('\0'),
  );
  const option = fc.oneof(
    fc.constant<string[]>([]),
    fc.tuple(fc.constantFrom('--split', '--map', '--limit', '--threads', '--score', '--iou'), garbage),
    fc.constantFrom(['--limit', '2'], ['--map', 'car=truck'], ['--split', 'train'], ['--threads', '2']),
  );
  const commandLine = fc
    .tuple(fc.array(option, { maxLength: 2 }), fc.constantFrom(model, model, model, 'nothing'))
    .map(([options, name]) => ['eval', '--model', name, '--data', data, ...options.flat(), '--json']);
  const commandLines = [
    ['eval', '--model', model, '--data', data, '--json'],
    ['eval', '--model', model, '--data', data, '--score', 'high', '--json'],
    ...fc.sample(commandLine, 60),
  ];
  const printed = await runMany(folder, commandLines);
  const codes = new Set<number>();
  for (const [index, { code, stdout, stderr }] of printed.entries()) {
    const document = json(stdout);
    const plain =
      code === 0
        ? 'map50' in document && 'map5095' in document && !('error' in document)
        : code === 2 && 'error' in document && /^bitlane: [^\n]+\n$/.test(stderr);
    codes.add(code);
    if (!plain) t.fail(`${JSON.stringify(commandLines[index])}: ${stdout} ${stderr}`);
  }
  t.same([...codes].sort(), [0, 2]);
});

t.test(
  'what root imports belongs to the owner of the state folder',
  { skip: process.getuid?.() === 0 ? false : 'only root can become another user' },
  async (t) => {
    const state = mkdtempSync(join(tmpdir(), 'bitlane-'));
    t.teardown(() => rmSync(state, { recursive: true, force: true }));
    chownSync(state, 65_534, 65_534);
    const printed = await run(
      ...['models', 'import', file, '--head', 'yolox', '--names', 'car,truck', '--state', state, '--json'],
    );
    t.equal(printed.code, 0, printed.stderr);
    const { id } = json(printed.stdout);
    t.equal(statSync(join(state, 'models', String(id), 'model.onnx')).uid, 65_534);
  },
);
