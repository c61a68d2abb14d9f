import {
  appendFileSync,
  cpSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import t, { type Test as Tap } from 'tap';
import { BitlaneError } from '../../src/errors.js';
import { type Manifest, readArtifactFolder, Registry, resolveModel } from '../../src/registry/index.js';
import { type Made, makeArtifact, spec } from '../helpers/artifacts.js';

const [a, b, c] = ['a', 'b', 'c'].map((seed) => makeArtifact(seed)) as [Made, Made, Made];

const put = (folder: string, made: Made): string => {
  writeFileSync(join(folder, 'model.onnx'), made.bytes);
  writeFileSync(join(folder, 'manifest.json'), JSON.stringify(made.manifest));
  return folder;
};

const open = async (
  t: Tap,
  stateDir: string,
): Promise<{ registry: Registry; notices: readonly string[] }> => {
  const registry = new Registry({ stateDir });
  t.teardown(() => registry.stop());
  return { registry, notices: await registry.start() };
};

const rewrite = (folder: string, change: (manifest: Manifest) => unknown): void => {
  const path = join(folder, 'manifest.json');
  writeFileSync(path, JSON.stringify(change(JSON.parse(readFileSync(path, 'utf8')) as Manifest)));
};
const flip = (path: string): void => {
  const bytes = readFileSync(path);
  bytes[1_234] = (bytes[1_234] ?? 0) ^ 1;
  writeFileSync(path, bytes);
};

/** Each breaks an artifact folder, and the sentence that must follow. */
const DAMAGES: Readonly<Record<string, [(folder: string) => void, RegExp]>> = {
  'truncated model': [
    (folder) => truncateSync(join(folder, 'model.onnx'), 2_999),
    /model\.onnx holds 2999 bytes where its manifest says 3000/,
  ],
  'empty model': [(folder) => truncateSync(join(folder, 'model.onnx')), /holds 0 bytes/],
  'model that grew': [(folder) => appendFileSync(join(folder, 'model.onnx'), 'x'), /holds 3001 bytes/],
  'altered byte': [(folder) => flip(join(folder, 'model.onnx')), /model\.onnx is altered: its SHA-256/],
  'missing model': [(folder) => rmSync(join(folder, 'model.onnx')), /model\.onnx is missing/],
  'folder for a model': [
    (folder) => {
      rmSync(join(folder, 'model.onnx'));
      cpSync(join(folder, '..', 'spare'), join(folder, 'model.onnx'), { recursive: true });
    },
    /model\.onnx is not a file/,
  ],
  'missing manifest': [(folder) => rmSync(join(folder, 'manifest.json')), /manifest\.json is missing/],
  'truncated manifest': [
    (folder) => truncateSync(join(folder, 'manifest.json'), 100),
    /manifest\.json is not JSON: it is truncated or altered/,
  ],
  'manifest that is text': [
    (folder) => writeFileSync(join(folder, 'manifest.json'), 'hello'),
    /manifest\.json is not JSON/,
  ],
  'manifest that is a list': [
    (folder) => writeFileSync(join(folder, 'manifest.json'), '[]'),
    /manifest\.json is not a manifest: /,
  ],
  'unknown key': [
    (folder) => rewrite(folder, (manifest) => ({ ...manifest, 'color\nforged line': 1 })),
    /is not a manifest: .*color/,
  ],
  'a key of a megabyte': [
    (folder) => rewrite(folder, (manifest) => ({ ...manifest, ['k'.repeat(2 ** 20)]: 1 })),
    /is not a manifest: .*kkk/,
  ],
  'wrong type deep inside': [
    (folder) =>
      rewrite(folder, (manifest) => ({
        ...manifest,
        detector: { ...spec, input: { ...spec.input, width: '416' } },
      })),
    /is not a manifest: detector\.input\.width: /,
  ],
  'id that is none': [
    (folder) => rewrite(folder, (manifest) => ({ ...manifest, id: 'ABC' })),
    /id: must be 64 lower-case hexadecimal digits/,
  ],
  'manifest of another model': [
    (folder) => rewrite(folder, () => makeArtifact('another').manifest),
    /model\.onnx is altered: its SHA-256 is not the id in its manifest/,
  ],
};

const refusalOf = async (work: Promise<unknown>): Promise<BitlaneError> => {
  const error: unknown = await work.then(
    () => new Error('it was accepted'),
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof BitlaneError)) throw error;
  return error;
};

t.test('every broken artifact is refused with one plain sentence, and nothing of it stays', async (t) => {
  for (const [what, [damage, rule]] of Object.entries(DAMAGES)) {
    const folder = t.testdir({ given: {}, spare: {}, state: {} });
    const given = put(join(folder, 'given'), a);
    t.equal((await readArtifactFolder(given)).id, a.id, 'it was whole');
    damage(given);
    const { registry } = await open(t, join(folder, 'state'));
    for (const use of [readArtifactFolder, resolveModel, (path: string) => registry.installFolder(path)]) {
      const error = await refusalOf(use(given));
      t.equal(error.code, 'BAD_MODEL', what);
      t.match(error.message, rule, what);
      t.notMatch(error.message, /\n/, what);
      t.ok(error.message.length < 600, `${what}: ${error.message.length} characters`);
    }
    t.same(await registry.list(), []);
    registry.stop();
  }
});

t.test(
  'an install whose bytes are not what the manifest says leaves nothing and changes nothing',
  async (t) => {
    const stateDir = t.testdir({});
    const { registry } = await open(t, stateDir);
    await registry.install(a.bytes, a.manifest);
    const file = join(stateDir, 'given.onnx');
    writeFileSync(file, b.bytes.subarray(1));
    for (const [model, manifest, rule] of [
      [b.bytes.subarray(1), b.manifest, /^the model holds 2999 bytes/],
      [b.bytes, c.manifest, /^the model is altered/],
      [file, b.manifest, /given\.onnx holds 2999 bytes/],
      [join(stateDir, 'absent.onnx'), b.manifest, /absent\.onnx is missing/],
      [stateDir, b.manifest, /is not a file/],
      [b.bytes, { ...b.manifest, schema: 2 }, /the manifest is not a manifest: schema: /],
      [b.bytes, null, /the manifest is not a manifest: /],
    ] as const) {
      const error = await refusalOf(registry.install(model, manifest));
      t.equal(error.code, 'BAD_MODEL');
      t.match(error.message, rule);
    }
    t.same(
      (await registry.list()).map(({ id }) => id),
      [a.id],
    );
    t.equal(registry.active, a.id);
  },
);

t.test(
  'a start recovers from a damaged active artifact: previous, then factory, then the newest',
  async (t) => {
    for (const [what, [damage]] of Object.entries(DAMAGES)) {
      const stateDir = t.testdir({ models: { spare: {} } });
      const first = (await open(t, stateDir)).registry;
      for (const { bytes, manifest } of [a, b, c]) await first.install(bytes, manifest);
      await first.activate(b.id);
      await first.activate(c.id);
      const at = (made: Made): string => join(first.folder, made.id);
      first.stop();
      damage(at(c));
      const second = await open(t, stateDir);
      t.equal(second.registry.active, b.id, what);
      t.match(second.notices.at(-1), /is active now/);
      t.equal((await second.registry.atBoot()).active?.id, b.id);
      second.registry.stop();
      damage(at(b));
      const third = await open(t, stateDir);
      t.equal(third.registry.active, a.id, what);
      // What is broken can be listed, and made good by installing it again.
      t.equal((await third.registry.list()).length, 3);
      await third.registry.install(c.bytes, c.manifest);
      t.equal((await third.registry.activate(c.id)).id, c.id);
      third.registry.stop();
      damage(at(c));
      damage(at(a));
      const fourth = await open(t, stateDir);
      t.equal(fourth.registry.active, null, what);
      t.match(fourth.notices.at(-1), /is whole: install one/);
      await fourth.registry.install(b.bytes, b.manifest);
      t.equal(fourth.registry.active, b.id);
      fourth.registry.stop();
    }
  },
);

t.test('an artifact folder under another id is refused and not activated', async (t) => {
  const stateDir = t.testdir({});
  const { registry } = await open(t, stateDir);
  await registry.install(a.bytes, a.manifest);
  await registry.install(b.bytes, b.manifest);
  renameSync(join(registry.folder, b.id), join(registry.folder, c.id));
  await t.rejects(registry.activate(c.id), { code: 'BAD_MODEL', message: /holds another artifact/ });
  await t.rejects(registry.get(c.id), { code: 'BAD_MODEL', message: /belongs to another artifact/ });
  t.equal(registry.active, a.id);
  await registry.remove(c.id);
});

t.test('state files: one unreadable copy loses nothing, two lose only the pointers', async (t) => {
  const stateDir = t.testdir({});
  let { registry } = await open(t, stateDir);
  for (const { bytes, manifest } of [a, b, c]) await registry.install(bytes, manifest);
  await registry.activate(b.id);
  const [main, backup] = ['registry.json', 'registry.backup.json'].map((name) =>
    join(registry.folder, name),
  ) as [string, string];
  for (const [path, text] of [
    [main, '{"schema":1,"active":'],
    [main, ''],
    [backup, 'x'],
    [main, '{"schema":9}'],
    [main, undefined],
    [backup, undefined],
  ] as const) {
    registry.stop();
    if (text === undefined) rmSync(path);
    else writeFileSync(path, text);
    const opened = await open(t, stateDir);
    registry = opened.registry;
    t.same([registry.active, registry.previous, registry.factory], [b.id, a.id, a.id], text ?? 'gone');
    if (text !== undefined) t.match(opened.notices.join(), /is truncated or altered/);
    t.equal(readFileSync(main, 'utf8'), readFileSync(backup, 'utf8'), 'both are good again');
  }
  registry.stop();
  writeFileSync(main, 'torn');
  writeFileSync(backup, 'torn');
  const { registry: last, notices } = await open(t, stateDir);
  t.match(notices.join(), /not on record any more/);
  t.ok([a.id, b.id, c.id].includes(last.active ?? ''), 'one is active');
  t.equal(last.previous, null);
});

t.test('what a user may call a model', async (t) => {
  const stateDir = t.testdir({ folder: {}, bare: {}, named: {} });
  const folder = put(join(stateDir, 'folder'), a);
  t.equal((await resolveModel(folder)).id, a.id);
  t.equal((await resolveModel(join(folder, 'model.onnx'))).id, a.id, 'manifest.json beside it');
  writeFileSync(join(stateDir, 'named', 'yolo.onnx'), b.bytes);
  writeFileSync(join(stateDir, 'named', 'yolo.manifest.json'), JSON.stringify(b.manifest));
  writeFileSync(join(stateDir, 'named', 'manifest.json'), JSON.stringify(a.manifest));
  t.equal((await resolveModel(join(stateDir, 'named', 'yolo.onnx'))).id, b.id, 'its own manifest first');
  writeFileSync(join(stateDir, 'bare', 'x.onnx'), a.bytes);
  await t.rejects(resolveModel(join(stateDir, 'bare', 'x.onnx')), {
    code: 'BAD_MODEL',
    message: /no manifest beside it: .*bitlane models import/,
  });
  const { registry } = await open(t, stateDir);
  await registry.install(c.bytes, c.manifest);
  for (const name of [c.id, c.id.slice(0, 6), c.id.slice(0, 9).toUpperCase()]) {
    t.equal((await resolveModel(name, { stateDir })).id, c.id, name);
  }
  for (const name of [c.id.slice(0, 5), 'f'.repeat(64), 'no-such-thing']) {
    await t.rejects(resolveModel(name, { stateDir }), { code: 'NO_SUCH_MODEL' }, name);
  }
  await t.rejects(
    resolveModel(c.id),
    { code: 'NO_SUCH_MODEL' },
    'without a state folder an id means nothing',
  );
  flip(join(registry.folder, c.id, 'model.onnx'));
  await t.rejects(resolveModel(c.id, { stateDir }), { code: 'BAD_MODEL' });
});
