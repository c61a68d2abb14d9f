// Importing bare models: what is found out about them, what is refused and how, and that nothing a file holds hurts the caller.
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import fc from 'fast-check';
import t, { type Test } from 'tap';
import {
  importModel,
  installImported,
  type ModelHints,
  ModelProbe,
  tryArtifact,
  writeImported,
} from '../../src/detector/index.js';
import { BitlaneError, messageOf } from '../../src/errors.js';
import { readArtifactFolder } from '../../src/registry/index.js';
import { requireData, skipWithout } from '../helpers/data.js';
import { tinyDetector, type TinyOptions } from '../helpers/tinyModel.js';
import { scaled } from '../helpers/fuzz.js';

const CLASSES = ['car', 'truck', 'bus'];
const BOXES = [
  { x1: 4, y1: 8, x2: 30, y2: 28, classId: 0, score: 0.75 },
  { x1: 20.5, y1: 10.25, x2: 60, y2: 50, classId: 2, score: 0.5 },
];

const withProbe = async (
  t: Test,
  options: ConstructorParameters<typeof ModelProbe>[0] = {},
): Promise<ModelProbe> => {
  const probe = new ModelProbe({ deadlineMs: 120_000, ...options });
  t.teardown(() => probe.stop());
  return probe;
};

const hintsFor = (options: TinyOptions): ModelHints => ({ head: options.head, names: [...options.classes] });

const thrownBy = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );

t.test('finds out layout, strides and outputs of every head', async (t) => {
  const probe = await withProbe(t);
  const folder = t.testdir();
  const variants: TinyOptions[] = [
    { head: 'yolox', classes: CLASSES, size: { width: 96, height: 64 } },
    { head: 'yolox', yoloxBoxes: 'decoded', classes: CLASSES },
    { head: 'yolov8', classes: CLASSES },
    { head: 'yolov8', yolov8Layout: 'channels-last', classes: CLASSES },
    { head: 'end-to-end', classes: CLASSES },
    { head: 'gfl', gflLayout: 'split', classes: CLASSES },
    { head: 'gfl', gflLayout: 'joined', gflScores: 'logits', classes: CLASSES, regMax: 9 },
    { head: 'gfl', gflLayout: 'joined-per-stride', classes: CLASSES },
  ];
  for (const [index, options] of variants.entries()) {
    const tiny = tinyDetector({ ...options, boxes: BOXES });
    const file = join(folder, `tiny-${index}.onnx`);
    writeFileSync(file, tiny.bytes);
    const { manifest, bytes } = await importModel({ file, hints: hintsFor(options) }, probe);
    t.same(manifest.detector.head, tiny.detector.head, JSON.stringify(options));
    t.same([manifest.id, manifest.name, manifest.modelBytes], [tiny.id, `tiny-${index}`, bytes.length]);
    const { width, height, name } = manifest.detector.input;
    t.same([width, height, name], [tiny.detector.input.width, tiny.detector.input.height, 'images']);
  }
});

t.test('takes the word of the user where there is one', async (t) => {
  const probe = await withProbe(t);
  const file = join(t.testdir(), 'tiny.onnx');
  writeFileSync(
    file,
    tinyDetector({ head: 'yolox', classes: CLASSES, inputShape: ['n', 3, 'h', 'w'] }).bytes,
  );
  const { manifest } = await importModel(
    {
      file,
      name: 'mine',
      origin: { licence: 'MIT' },
      hints: {
        head: 'yolox',
        names: CLASSES,
        width: 64,
        height: 64,
        colourOrder: 'rgb',
        mean: [1, 2, 3],
        scale: [0.5, 0.25, 0.125],
        letterbox: 'stretch',
        pad: 7,
        strides: [8, 16, 32],
        outputs: ['output'],
      },
    },
    probe,
  );
  t.match(manifest, { name: 'mine', origin: { licence: 'MIT' } });
  t.same(manifest.detector.input, {
    name: 'images',
    width: 64,
    height: 64,
    colourOrder: 'rgb',
    mean: [1, 2, 3],
    scale: [0.5, 0.25, 0.125],
    letterbox: 'stretch',
    pad: 7,
  });
});

t.test('a model that takes bytes is described as one, and tried as an artifact', async (t) => {
  const probe = await withProbe(t);
  const file = join(t.testdir(), 'tiny.onnx');
  const size = { width: 96, height: 64 };
  const tiny = tinyDetector({ head: 'gfl', gflLayout: 'joined', classes: CLASSES, size, inputType: 'uint8' });
  writeFileSync(file, tiny.bytes);
  const imported = await importModel({ file, hints: { head: 'gfl', names: CLASSES } }, probe);
  t.match(imported.manifest.detector.input, { ...size, format: 'bytes', mean: [0, 0, 0], scale: [1, 1, 1] });
  const artifact = await writeImported(imported, join(t.testdir(), 'artifact'));
  t.ok((await tryArtifact(artifact, probe)) > 0);
  const { format: _format, ...input } = artifact.manifest.detector.input;
  const detector = { ...artifact.manifest.detector, input };
  await t.rejects(tryArtifact({ ...artifact, manifest: { ...artifact.manifest, detector } }, probe), {
    code: 'BAD_MODEL',
  });
});

t.test('what cannot be served is refused with one sentence that says why', async (t) => {
  const probe = await withProbe(t);
  const folder = t.testdir({ 'text.onnx': 'this is no model', 'empty.onnx': '', 'folder.onnx': {} });
  writeFileSync(join(folder, 'outside.bin'), new Uint8Array(64));
  const yolox: TinyOptions = { head: 'yolox', classes: CLASSES };
  const hints: ModelHints = { head: 'yolox', names: CLASSES };
  const cases: [string, TinyOptions, Partial<ModelHints>, RegExp][] = [
    ['half', { ...yolox, inputType: 'float16' }, {}, /takes float16: only float32/],
    [
      'bytes',
      { ...yolox, inputType: 'uint8', inputShape: [1, 3, 64, 64] },
      {},
      /uint8 \[1, 3, 64, 64\] is no picture: it must be uint8 \[1, height, width, 3\]/,
    ],
    [
      'shifted',
      { ...yolox, inputType: 'uint8' },
      { mean: [1, 2, 3] },
      /takes bytes, .*: leave --mean and --scale out/,
    ],
    [
      'classes',
      yolox,
      { names: ['car'] },
      /needs an output \[1, boxes, 6\] for 1 class; one of 3 classes would fit/,
    ],
    ['dynamic', { ...yolox, inputShape: [1, 3, 'h', 'w'] }, {}, /any size: say which with --input WxH/],
    ['size', yolox, { width: 96, height: 64 }, /64 pixels wide, and --input says 96/],
    ['inputs', { ...yolox, extraInput: true }, {}, /several inputs \(images, extra\)/],
    ['outside', { ...yolox, externalWeights: 'outside.bin' }, {}, /weights in another file/],
    [
      'nhwc',
      { ...yolox, inputShape: [1, 64, 64, 3] },
      {},
      /is no picture: it must be float32 \[1, 3, height, width\]/,
    ],
    ['batch', { ...yolox, inputShape: [4, 3, 64, 64] }, {}, /is no picture/],
    ['tiny', { ...yolox, inputShape: [1, 3, 16, 16] }, {}, /sides are 32 to 4096/],
    ['strides', yolox, { strides: [4, 8] }, /strides 4, 8 do not give as many boxes/],
    ['output', yolox, { outputs: ['boxes'] }, /no float32 output boxes: it has output \[1, 84, 8\]/],
    ['head', yolox, { head: 'gfl' }, /the gfl head needs outputs/],
    ['head-8', yolox, { head: 'yolov8' }, /the yolov8 head needs an output/],
    ['head-rows', yolox, { head: 'end-to-end' }, /needs an output \[1, boxes, 6\]/],
    ['nan', { ...yolox, nan: true }, {}, /not finite numbers/],
    ['fails', { ...yolox, failAbove: -1 }, {}, /failed while it ran/],
    [
      'score',
      { ...yolox, boxes: [{ x1: 1, y1: 1, x2: 9, y2: 9, classId: 0, score: 4 }] },
      {},
      /a score of 4\.00 where a yolox head has 0 to 1/,
    ],
    ['opset', { ...yolox, opset: 99 }, {}, /opset/i],
  ];
  const refuse = async (file: string, own: ModelHints, pattern: RegExp): Promise<void> => {
    const error = await thrownBy(importModel({ file: join(folder, file), hints: own }, probe));
    t.ok(error instanceof BitlaneError && error.code === 'BAD_MODEL', `${file}: ${String(error)}`);
    t.match(String(error), pattern, file);
    t.ok(String(error).includes(file), `${file} is named`);
    t.notMatch(String(error), /\n/, `${file}: one line`);
  };
  for (const [name, options, own, pattern] of cases) {
    writeFileSync(join(folder, `${name}.onnx`), tinyDetector(options).bytes);
    await refuse(`${name}.onnx`, { ...hints, ...own }, pattern);
  }
  await refuse('missing.onnx', hints, /does not exist/);
  await refuse('empty.onnx', hints, /is empty/);
  await refuse('folder.onnx', hints, /is not a file/);
  await refuse('text.onnx', hints, /no ONNX file, or it is truncated/);
  const usage = await thrownBy(
    importModel({ file: join(folder, 'score.onnx'), hints: { ...hints, names: [] } }, probe),
  );
  t.ok(usage instanceof BitlaneError && usage.code === 'BAD_USAGE');
});

t.test('a model that crashes, hangs or eats memory ends its process only', async (t) => {
  const folder = t.testdir();
  const yolox: TinyOptions = { head: 'yolox', classes: CLASSES };
  const write = (name: string, options: TinyOptions): string => {
    writeFileSync(join(folder, name), tinyDetector(options).bytes);
    return join(folder, name);
  };
  const good = write('good.onnx', yolox);
  const probe = await withProbe(t, { memoryMb: 400 });
  if (process.arch === 'x64') {
    const crash = write('crash.onnx', { ...yolox, crashAbove: -1 });
    await t.rejects(importModel({ file: crash, hints: hintsFor(yolox) }, probe), {
      code: 'BAD_MODEL',
      message: /ends the process that runs it \(SIG/,
    });
    t.ok(await importModel({ file: good, hints: hintsFor(yolox) }, probe), 'and the next one is served');
  }
  const hungry = write('hungry.onnx', { ...yolox, hungryBytes: 8e8 });
  await t.rejects(importModel({ file: hungry, hints: hintsFor(yolox) }, probe), {
    code: 'BAD_MODEL',
    message: /needs more than 400 MB of memory/,
  });
  t.ok(await importModel({ file: good, hints: hintsFor(yolox) }, probe), 'and the next one is served');
  // Any model is late for a deadline of a millisecond.
  const hasty = await withProbe(t, { deadlineMs: 1 });
  const slow = write('slow.onnx', { ...yolox, delayLayers: 60 });
  await t.rejects(importModel({ file: slow, hints: hintsFor(yolox) }, hasty), {
    code: 'BAD_MODEL',
    message: /was not done with a grey picture after/,
  });
  const abort = new AbortController();
  const aborted = await withProbe(t, { signal: abort.signal });
  const waiting = thrownBy(importModel({ file: slow, hints: hintsFor(yolox) }, aborted));
  abort.abort(new BitlaneError('TIMEOUT', 'interrupted'));
  t.match(await waiting, { code: 'TIMEOUT' });
});

t.test('malformed files: one sentence each, and the caller lives', async (t) => {
  const folder = t.testdir();
  const probe = await withProbe(t, { deadlineMs: 30_000, memoryMb: 700 });
  const whole = tinyDetector({ head: 'yolox', classes: CLASSES, boxes: BOXES }).bytes;
  const damage = fc.oneof(
    fc.integer({ min: 0, max: whole.length - 1 }).map((length) => whole.subarray(0, length)),
    fc
      .array(fc.tuple(fc.nat(whole.length - 1), fc.integer({ min: 1, max: 255 })), {
        minLength: 1,
        maxLength: 8,
      })
      .map((flips) => {
        const bytes = whole.slice();
        for (const [at, mask] of flips) bytes[at] = (bytes[at] ?? 0) ^ mask;
        return bytes;
      }),
    // Where the graph is, not the weights: nearly every flip tells.
    fc
      .array(fc.tuple(fc.nat(200), fc.integer({ min: 1, max: 255 })), { minLength: 1, maxLength: 4 })
      .map((flips) => {
        const bytes = whole.slice();
        for (const [at, mask] of flips) bytes[at] = (bytes[at] ?? 0) ^ mask;
        return bytes;
      }),
    fc.uint8Array({ maxLength: 300 }),
    fc.constant(new Uint8Array(0)),
    fc.constant(randomBytes(5000)),
  );
  let [tried, refused] = [0, 0];
  const hints: ModelHints = { head: 'yolox', names: CLASSES };
  for (const bytes of fc.sample(damage, scaled(220))) {
    const file = join(folder, 'model.onnx');
    writeFileSync(file, bytes);
    tried += 1;
    const error = await thrownBy(importModel({ file, hints }, probe));
    if (error === undefined) continue;
    refused += 1;
    const plain =
      error instanceof BitlaneError && error.code === 'BAD_MODEL' && !/[\n\r]/.test(error.message);
    if (!plain) t.fail(`${messageOf(error)} for ${Buffer.from(bytes).toString('base64')}`);
  }
  t.equal(tried, scaled(220));
  t.ok(refused > 110, `${refused} refused`);
  writeFileSync(join(folder, 'whole.onnx'), whole);
  t.ok(await importModel({ file: join(folder, 'whole.onnx'), hints }, probe), 'a whole one is still served');
});

t.test('an artifact is written in one step, or installed; and verified by running it', async (t) => {
  const probe = await withProbe(t);
  const folder = t.testdir();
  const tiny = tinyDetector({ head: 'yolox', classes: CLASSES, boxes: BOXES });
  const file = join(folder, 'tiny.onnx');
  writeFileSync(file, tiny.bytes);
  const model = await importModel({ file, hints: { head: 'yolox', names: CLASSES } }, probe);
  const out = join(folder, 'deep', 'artifact');
  t.equal((await writeImported(model, out)).id, tiny.id);
  const artifact = await readArtifactFolder(out);
  t.ok((await tryArtifact(artifact, probe)) >= 0);
  await t.rejects(writeImported(model, out), { code: 'BAD_USAGE', message: /is there already/ });
  mkdirSync(join(folder, 'empty'));
  t.equal((await writeImported(model, join(folder, 'empty'))).id, tiny.id);
  t.same(
    readdirSync(folder).filter((name) => name.startsWith('.')),
    [],
    'nothing is left beside it',
  );
  const first = await installImported(model, join(folder, 'state'));
  t.equal(first.active, true, 'the first one is active');
  t.ok(existsSync(join(folder, 'state', 'models', tiny.id, 'model.onnx')));
  t.equal((await installImported(model, join(folder, 'state'))).artifact.id, tiny.id, 'twice is once');
  // An artifact that no longer is what it says: its manifest names another head.
  const wrong = {
    ...artifact,
    manifest: { ...artifact.manifest, detector: { ...artifact.manifest.detector, classes: ['car'] } },
  };
  await t.rejects(tryArtifact(wrong, probe), { code: 'BAD_MODEL', message: /yolox head of 1 class/ });
});

t.test('no process is left behind', async (t) => {
  const probe = new ModelProbe();
  const file = join(t.testdir(), 'tiny.onnx');
  writeFileSync(file, tinyDetector({ head: 'yolox', classes: CLASSES }).bytes);
  await importModel({ file, hints: { head: 'yolox', names: CLASSES } }, probe);
  const children = (): number =>
    readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .filter((pid) => {
        try {
          const status = readFileSync(`/proc/${pid}/status`, 'utf8');
          return status.includes(`PPid:\t${process.pid}\n`) && !/^State:\s+Z/m.test(status);
        } catch {
          return false;
        }
      }).length;
  t.equal(children(), 1);
  await probe.stop();
  await probe.stop();
  for (let i = 0; i < 500 && children() > 0; i += 1) await delay(20);
  t.equal(children(), 0);
});

t.test(
  'YOLOX-nano is found out',
  { skip: skipWithout('models', 'yolox-nano', 'yolox_nano.onnx') },
  async (t) => {
    const probe = await withProbe(t);
    const names = readFileSync(requireData('models', 'yolox-nano', 'coco.names'), 'utf8')
      .trim()
      .split('\n');
    const { manifest } = await importModel(
      { file: requireData('models', 'yolox-nano', 'yolox_nano.onnx'), hints: { head: 'yolox', names } },
      probe,
    );
    t.same(manifest.detector.head, { type: 'yolox', output: 'output', boxes: 'raw', strides: [8, 16, 32] });
    t.match(manifest.detector.input, {
      width: 416,
      height: 416,
      colourOrder: 'bgr',
      letterbox: 'top-left',
      pad: 114,
    });
  },
);
