// `bitlane quantize` from the command line: an artifact that serves, one document, plain sentences, exit codes.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import sharp from 'sharp';
import t from 'tap';
import { readModel } from '../../src/onnx/index.js';
import { componentsOf, prepareModel, uniformAllocation } from '../../src/quantization/index.js';
import { manifestSchema, readArtifactFolder } from '../../src/registry/index.js';
import { runBounded } from '../../src/system/index.js';
import { tinyDetector } from '../helpers/tinyModel.js';
import { json, runMany } from './lines.js';

const main = fileURLToPath(new URL('../../src/cli/main.js', import.meta.url));

const folder = t.testdir();
const data = join(folder, 'data');
const model = join(folder, 'model');
const bare = join(folder, 'bare');

const writeTiny = (path: string, delayLayers: number): void => {
  const boxes = [{ x1: 8, y1: 8, x2: 24, y2: 24, classId: 0, score: 0.9 }];
  const { bytes, manifest } = tinyDetector({ head: 'yolox', classes: ['car', 'truck'], boxes, delayLayers });
  mkdirSync(path);
  writeFileSync(join(path, 'model.onnx'), bytes);
  writeFileSync(join(path, 'manifest.json'), JSON.stringify(manifest));
};

t.before(async () => {
  writeTiny(model, 4);
  writeTiny(bare, 0);
  for (const split of ['train', 'val']) {
    mkdirSync(join(data, 'images', split), { recursive: true });
    mkdirSync(join(data, 'labels', split), { recursive: true });
    for (const i of [0, 1, 2]) {
      const background = { r: 40 + 60 * i, g: 200 - 50 * i, b: 90 };
      const create = { width: 64, height: 64, channels: 3 as const, background };
      writeFileSync(join(data, 'images', split, `${i}.png`), await sharp({ create }).png().toBuffer());
      writeFileSync(join(data, 'labels', split, `${i}.txt`), '0 0.25 0.25 0.25 0.25\n');
    }
  }
  writeFileSync(join(data, 'data.yaml'), 'train: images/train\nval: images/val\nnames: [car, truck]\n');
});

const base = ['quantize', '--model', model, '--data', data];

t.test('an artifact that is verified, measured and installed like any other', async (t) => {
  const out = join(folder, 'int8');
  const state = join(folder, 'state');
  const parent = await readArtifactFolder(model);
  const [made, again, verified, measured, installed, listed] = await runMany(folder, [
    [...base, '--bits', '8', '--no-search', '--validate', data, '--out', out, '--json'],
    [...base, '--bits', '8', '--out', out, '--json'],
    ['models', 'verify', out, '--json'],
    ['eval', '--model', out, '--data', data, '--json'],
    [
      ...base,
      '--bits',
      '4',
      '--execution',
      'fp32',
      '--pictures',
      '2',
      '--name',
      'small',
      '--state',
      state,
      '--json',
    ],
    ['models', 'list', '--state', state, '--json'],
  ]);
  if (!made || !again || !verified || !measured || !installed || !listed) throw new Error('six results');
  t.equal(made.code, 0, made.stderr);
  const document = json(made.stdout);
  const manifest = manifestSchema.parse(JSON.parse(readFileSync(join(out, 'manifest.json'), 'utf8')));
  const layers = Object.keys(manifest.allocation?.components ?? {});
  t.ok(layers.length >= 4, `${layers.length} layers`);
  t.match(document, {
    id: manifest.id,
    parentId: parent.id,
    active: false,
    averageBits: 8,
    parentBytes: parent.manifest.modelBytes,
    bytes: readFileSync(join(out, 'model.onnx')).length,
    calibration: { pictures: 3, split: 'train', rounding: 'nearest', ranges: 'percentile' },
    device: { node: process.version },
  });
  t.ok(Number(document['bytesRatio']) < 1, 'smaller than its parent');
  t.equal((document['layers'] as unknown[]).length, layers.length);
  t.match(manifest, {
    name: `${parent.manifest.name}-8bit`,
    parentId: parent.id,
    detector: parent.manifest.detector,
    measured: [{ threads: 1 }],
    validation: [{ pictures: 3, map50: 1, parentMap50: 1, map50Drop: { value: 0, low: 0, high: 0 } }],
  });
  t.ok((manifest.measured[0]?.latencyMs ?? 0) > 0 && (manifest.measured[0]?.parentLatencyMs ?? 0) > 0);
  const operators = [...readModel(join(out, 'model.onnx')).graph.nodes()].map(({ opType }) => opType);
  t.ok(operators.includes('QuantizeLinear'), 'integers inside');
  t.equal(again.code, 2);
  t.match(again.stderr, /^bitlane: .* is there already: an artifact goes into a new folder\n$/);
  t.match([verified.code, json(verified.stdout)], [0, { ok: true }], verified.stderr);
  t.match([measured.code, json(measured.stdout)], [0, { map50: 1 }], measured.stderr);
  t.equal(installed.code, 0, installed.stderr);
  t.match(json(installed.stdout), {
    name: 'small',
    active: true,
    calibration: { rounding: 'gptq', pictures: 2 },
  });
  t.match(json(listed.stdout), { models: [{ id: json(installed.stdout)['id'], name: 'small' }] });
});

t.test('how int8 runs best is sought, and written down', async (t) => {
  const out = join(folder, 'sought');
  const [made, refused] = await runMany(folder, [
    [...base, '--bits', '8', '--float-layers', '1', '--validate', data, '--out', out, '--json'],
    [...base, '--bits', '8', '--float-layers', '1', '--execution', 'fp32', '--json'],
  ]);
  if (!made || !refused) throw new Error('two results');
  t.equal(made.code, 0, made.stderr);
  const document = json(made.stdout);
  const manifest = manifestSchema.parse(JSON.parse(readFileSync(join(out, 'manifest.json'), 'utf8')));
  const components = Object.entries(manifest.allocation?.components ?? {});
  const floats = components.filter(([, { execution }]) => execution === 'fp32').map(([name]) => name);
  t.same(document['floatLayers'], floats, 'the layers that stay in FP32, and no others, are told');
  t.ok(floats.length <= 1 && components.length >= 4);
  t.same(document['floatFunctions'], manifest.calibration?.floatFunctions);
  t.match(manifest.validation, [{ map50: 1, parentMap50: 1 }]);
  t.equal(refused.code, 2);
  t.match(
    refused.stderr,
    /^bitlane: --float-layers goes with --bits 8, 4 or 2, int8 execution and a search\n$/,
  );
});

t.test('an allocation file, and a text for people', async (t) => {
  const allocation = uniformAllocation(
    componentsOf(prepareModel(readModel(join(model, 'model.onnx')))),
    2,
    'fp32',
  );
  const file = join(folder, 'allocation.json');
  writeFileSync(file, JSON.stringify(allocation));
  const out = join(folder, 'two');
  const { code, stdout, stderr } = await runBounded(
    process.execPath,
    [main, ...base, '--bits', file, '--rounding', 'nearest', '--out', out],
    { deadlineMs: 120_000 },
  );
  t.equal(code, 0, stderr);
  t.match(stdout, /^tiny-yolox-2bit is artifact [0-9a-f]{12}$/m);
  t.match(stdout, /2\.00 bits a weight/);
  t.match(stdout, /of the parent's \(95 %: /);
  t.same((await readArtifactFolder(out)).manifest.allocation, allocation);
});

t.test('ranges, activations, equalization and bias correction as they are asked for', async (t) => {
  const [dynamic, chosen] = [join(folder, 'dynamic'), join(folder, 'chosen')];
  const [first, second] = await runMany(folder, [
    [...base, '--bits', '8', '--activations', 'dynamic', '--validate', data, '--out', dynamic, '--json'],
    [
      ...base,
      ...['--bits', '8', '--no-search', '--ranges', 'kl', '--equalize', '--bias-correction'],
      ...['--validate', data, '--out', chosen, '--json'],
    ],
  ]);
  if (first === undefined || second === undefined) throw new Error('two results');
  t.equal(first.code, 0, first.stderr);
  t.equal(second.code, 0, second.stderr);
  const [one, other] = [await readArtifactFolder(dynamic), await readArtifactFolder(chosen)];
  t.match(one.manifest, { calibration: { ranges: 'dynamic' }, validation: [{ map50: 1 }] });
  t.ok(readFileSync(one.modelPath).includes('ConvInteger'));
  t.match(other.manifest, {
    calibration: { ranges: 'kl', equalized: true, biasCorrected: true },
    validation: [{ map50: 1 }],
  });
});

t.test('bad options get one sentence, and nothing is written', async (t) => {
  const out = join(folder, 'none');
  const broken = join(folder, 'broken.json');
  writeFileSync(
    broken,
    '{"format": "bitlane-allocation", "version": 1, "components": {"a": {"bits": 3, "execution": "int8"}}}',
  );
  const strange = join(folder, 'strange.json');
  writeFileSync(strange, '{"format": "bitlane-allocation", "version": 1, "components": {}}');
  const cases: [string[], RegExp][] = [
    [[...base, '--bits', '3'], /--bits takes 8, 4, 2 or an allocation file, and "3" is none of them/],
    [[...base, '--bits', folder], /--bits takes 8, 4, 2 or an allocation file/],
    [
      [...base, '--bits', broken],
      /broken\.json is no allocation: components\.a\.bits: must be 2, 4, 8 or 32/,
    ],
    [[...base, '--bits', strange], /the allocation says nothing of component/],
    [[...base, '--bits', strange, '--execution', 'int8'], /--execution goes with --bits 8, 4 or 2/],
    [[...base, '--bits', '8', '--execution', 'fp16'], /--execution takes int8, fp32, not "fp16"/],
    [[...base, '--bits', '8', '--rounding', 'up'], /--rounding takes nearest, gptq, not "up"/],
    [[...base, '--bits', '8', '--pictures', '0'], /--pictures takes a whole number from 1 to 10000/],
    [[...base, '--bits', '8', '--ranges', 'kl'], /--ranges goes with --no-search or an allocation file/],
    [
      [...base, '--bits', '8', '--ranges', 'kl', '--activations', 'dynamic'],
      /--ranges goes with static activations/,
    ],
    [[...base, '--bits', '8', '--no-search', '--ranges', 'best'], /--ranges takes min-max, percentile/],
    [[...base, '--bits', '8', '--activations', 'none'], /--activations takes static, dynamic, not "none"/],
    [[...base, '--bits', '8', '--name', ''], /--name takes 1 to 128 characters/],
    [[...base, '--bits', '8', '--split', 'test'], /test/],
    [[...base, '--bits', '8', '--validate', join(folder, 'nowhere')], /nowhere does not exist/],
    [['quantize', '--model', bare, '--data', data, '--bits', '8'], /has no layer with constant FP32 weights/],
    [['quantize', '--model', join(folder, 'gone'), '--data', data, '--bits', '8'], /is no artifact folder/],
  ];
  const printed = await runMany(
    folder,
    cases.map(([args]) => [...args, '--out', out, '--json']),
  );
  for (const [index, [args, pattern]] of cases.entries()) {
    const { code, stdout, stderr } = printed[index] ?? { code: 0, stdout: '', stderr: '' };
    t.equal(code, 2, `${args.join(' ')}: ${stdout}`);
    t.match((json(stdout)['error'] as { message: string }).message, pattern);
    t.match(stderr, /^bitlane: [^\n]+\n$/);
  }
  t.notOk(existsSync(out));
});

t.test('one document whatever it is given', async (t) => {
  const garbage = fc
    .string({ unit: 'grapheme', maxLength: 12 })
    .filter((text) => !text.startsWith('-') && !text.includes('\0'));
  const option = fc.tuple(
    fc.constantFrom('--bits', '--split', '--pictures', '--execution', '--rounding', '--validate', '--limit'),
    garbage,
  );
  const commandLine = fc
    .array(option, { minLength: 1, maxLength: 3 })
    .map((options) => [
      ...base,
      '--bits',
      '8',
      ...options.flat(),
      '--out',
      join(folder, 'no', 'where'),
      '--json',
    ]);
  const printed = await runMany(
    folder,
    // An option that may be anything may be left out.
    fc.sample(commandLine, 40).filter((line) => line.some((part) => part !== '' && /[^\d\s]/.test(part))),
  );
  t.ok(printed.length > 20, `${printed.length} command lines`);
  for (const { code, stdout, stderr } of printed) {
    const document = json(stdout);
    t.ok(
      code === 0 ? 'id' in document : code === 2 && 'error' in document && /^bitlane: [^\n]+\n$/.test(stderr),
      stdout,
    );
  }
});
