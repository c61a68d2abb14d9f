// Sessions: what they say of a model, what they compute, what a bad model or a bad feed gets.
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { BitlaneError } from '../../src/errors.js';
import { floatTensor, openSession, ortVersion, withSession } from '../../src/runtime/index.js';
import { requireData, skipWithout } from '../helpers/data.js';
import { tinyDetector } from '../helpers/tinyModel.js';

const folder = mkdtempSync(join(tmpdir(), 'bitlane-runtime-'));
t.teardown(() => rmSync(folder, { recursive: true, force: true }));

const tiny = tinyDetector({ head: 'yolov8', classes: ['car', 'bus'], size: 64, anchors: 12 });
const picture = floatTensor([1, 3, 64, 64]);

const isBadModel = (error: unknown): boolean => error instanceof BitlaneError && error.code === 'BAD_MODEL';

t.test('names its inputs and outputs and runs, from bytes and from a file', async (t) => {
  const path = join(folder, 'tiny.onnx');
  writeFileSync(path, tiny.bytes);
  for (const model of [tiny.bytes, path]) {
    await withSession(model, { threads: 2, spinning: false }, async (session) => {
      t.same(session.inputs, [{ name: 'images', type: 'float32', shape: [1, 3, 64, 64] }]);
      t.same(session.outputs, [{ name: 'output', type: 'float32', shape: [1, 6, 12] }]);
      const { output } = await session.run({ images: picture });
      t.same(output?.dims, [1, 6, 12]);
      t.equal(output?.data.length, 72);
    });
  }
});

t.test('a session is released on the error path, and knows it', async (t) => {
  const session = await openSession(tiny.bytes);
  await t.rejects(
    withSession(tiny.bytes, {}, async (inner) => {
      await inner.run({ images: picture });
      throw new Error('work failed');
    }),
    { message: 'work failed' },
  );
  await session.release();
  await session.release();
  await t.rejects(session.run({ images: picture }), { code: 'INTERNAL' });
});

t.test('a bad model gets one plain sentence', async (t) => {
  const broken: Record<string, string | Uint8Array> = {
    missing: join(folder, 'missing.onnx'),
    empty: new Uint8Array(0),
    text: Buffer.from('this is not a model'),
    truncated: tiny.bytes.subarray(0, tiny.bytes.length / 2),
  };
  for (const [what, model] of Object.entries(broken)) {
    const error: unknown = await openSession(model).then(
      (session) => session.release().then(() => undefined),
      (thrown: unknown) => thrown,
    );
    t.ok(isBadModel(error), what);
    t.notMatch(String(error), /\n/, `${what} is one line`);
  }
});

t.test('a feed that the model does not take is refused', async (t) => {
  await withSession(tiny.bytes, {}, async (session) => {
    await t.rejects(session.run({}), { code: 'BAD_MODEL' });
    await t.rejects(session.run({ images: floatTensor([1, 3, 2, 2]) }), { code: 'BAD_MODEL' });
    await t.rejects(
      session.run({ images: { type: 'uint8', dims: [1, 3, 64, 64], data: new Uint8Array(12_288) } }),
      { code: 'BAD_MODEL' },
    );
    t.ok(await session.run({ images: picture }), 'and the session still works');
  });
});

t.test('a tensor has as many values as its shape says', async (t) => {
  t.throws(() => floatTensor([2, 2], new Float32Array(3)), TypeError);
  t.equal(floatTensor([2, 3]).data.length, 6);
});

t.test('writes the optimized graph where told, and knows its version', async (t) => {
  const path = join(folder, 'optimized.onnx');
  await withSession(tiny.bytes, { optimizedModelPath: path, optimization: 'basic' }, () => undefined);
  t.ok(existsSync(path));
  t.match(await ortVersion(), /^\d+\.\d+\.\d+/);
});

t.test('runs YOLOX-nano', { skip: skipWithout('models', 'yolox-nano', 'yolox_nano.onnx') }, async (t) => {
  const bytes = readFileSync(requireData('models', 'yolox-nano', 'yolox_nano.onnx'));
  await withSession(bytes, { threads: 1 }, async (session) => {
    t.same(session.outputs[0]?.shape, [1, 3549, 85]);
    const { output } = await session.run({ images: floatTensor([1, 3, 416, 416]) });
    t.same(output?.dims, [1, 3549, 85]);
  });
});
