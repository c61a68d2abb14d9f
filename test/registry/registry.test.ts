import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test as Tap } from 'tap';
import { Registry } from '../../src/registry/index.js';
import { type Made, makeArtifact } from '../helpers/artifacts.js';

const [a, b, c] = ['a', 'b', 'c'].map((seed) => makeArtifact(seed)) as [Made, Made, Made];

const open = async (t: Tap, stateDir: string, readOnly = false): Promise<Registry> => {
  const registry = new Registry({ stateDir, readOnly });
  t.teardown(() => registry.stop());
  await registry.start();
  return registry;
};

const withAll = async (t: Tap, stateDir = t.testdir({})): Promise<Registry> => {
  const registry = await open(t, stateDir);
  for (const { bytes, manifest } of [a, b, c]) await registry.install(bytes, manifest);
  return registry;
};

/** The same state folder, seen by the next process. */
const reboot = async (t: Tap, registry: Registry): Promise<Registry> => {
  registry.stop();
  return open(t, join(registry.folder, '..'));
};

const pointers = ({ active, previous, factory }: Registry) => [active, previous, factory];

t.test('an empty registry has nothing active, and boots without a model', async (t) => {
  const registry = await open(t, t.testdir({}));
  t.same(pointers(registry), [null, null, null]);
  t.same(await registry.list(), []);
  t.same(await registry.atBoot(), { active: undefined, rolledBackFrom: undefined });
  await t.rejects(registry.rollback(), { code: 'NO_SUCH_MODEL' });
  await t.rejects(registry.activate(a.id), { code: 'NO_SUCH_MODEL' });
  await t.rejects(registry.remove(a.id), { code: 'NO_SUCH_MODEL' });
});

t.test('the first install is active and factory; pointers survive a restart', async (t) => {
  let registry = await withAll(t);
  t.same(pointers(registry), [a.id, null, a.id]);
  await registry.activate(b.id);
  await registry.activate(c.id);
  registry = await reboot(t, registry);
  t.same(pointers(registry), [c.id, b.id, a.id]);
  t.equal((await registry.rollback()).id, b.id);
  t.same(pointers(registry), [b.id, null, a.id], 'what was left is not offered again');
  t.equal((await registry.rollback()).id, a.id, 'where there is no previous one, the factory one');
  await t.rejects(registry.rollback(), { code: 'NO_SUCH_MODEL', message: /no earlier artifact/ });
  registry = await reboot(t, registry);
  t.same(pointers(registry), [a.id, null, a.id]);
  t.equal((await registry.atBoot()).active?.id, a.id);
});

t.test('activating what is active changes nothing', async (t) => {
  const registry = await withAll(t);
  await registry.activate(b.id);
  await registry.activate(b.id);
  t.same(pointers(registry), [b.id, a.id, a.id]);
});

t.test('from a file as from bytes; twice is once; nothing is left over', async (t) => {
  const stateDir = t.testdir({});
  const file = join(t.testdirName, 'given.onnx');
  writeFileSync(file, a.bytes, { mode: 0o600 });
  const registry = await open(t, stateDir);
  const one = await registry.install(file, a.manifest);
  const before = statSync(one.modelPath);
  await registry.install(a.bytes, a.manifest);
  t.equal(statSync(one.modelPath).ino, before.ino, 'an artifact is never written again');
  t.equal(before.mode & 0o777, 0o640);
  t.same(readdirSync(registry.folder).sort(), [a.id, 'lock', 'registry.backup.json', 'registry.json']);
  const differently = { ...a.manifest, detector: { ...a.manifest.detector, classes: ['bus', 'car'] } };
  await t.rejects(registry.install(a.bytes, differently), { code: 'BAD_MODEL', message: /differently/ });
  const copy = await open(t, join(t.testdirName, 'other'));
  t.equal((await copy.installFolder(join(registry.folder, a.id))).id, a.id);
});

t.test('roles protect from removal', async (t) => {
  const registry = await withAll(t);
  await registry.activate(b.id);
  await t.rejects(registry.remove(a.id), { code: 'BUSY', message: /previous artifact/ });
  await t.rejects(registry.remove(b.id), { code: 'BUSY', message: /active artifact/ });
  await registry.activate(c.id);
  await t.rejects(registry.remove(a.id), { code: 'BUSY', message: /factory artifact/ });
  await registry.markFactory(c.id);
  await registry.remove(a.id);
  t.same((await registry.list()).map(({ id }) => id).sort(), [b.id, c.id].sort());
});

t.test('two failed starts in a row roll back at boot; one does not', async (t) => {
  let registry = await withAll(t);
  await registry.activate(b.id);
  const failOnce = async (): Promise<void> => {
    await registry.recordStart(b.id, 'begun');
    await registry.recordStart(b.id, 'failed');
    registry = await reboot(t, registry);
  };
  await failOnce();
  t.match(await registry.atBoot(), { active: { id: b.id }, rolledBackFrom: undefined });
  await registry.recordStart(b.id, 'ok');
  await failOnce();
  t.match(await registry.atBoot(), { active: { id: b.id } }, 'a good start is forgiving');
  await failOnce();
  t.match(await registry.atBoot(), { active: { id: a.id }, rolledBackFrom: b.id });
  registry = await reboot(t, registry);
  t.match(await registry.atBoot(), { active: { id: a.id }, rolledBackFrom: undefined });
  t.same(pointers(registry), [a.id, null, a.id]);
});

t.test('four starts that nobody lived to record roll back; three do not', async (t) => {
  let registry = await withAll(t);
  await registry.activate(c.id);
  for (let start = 1; start <= 4; start += 1) {
    t.match(await registry.atBoot(), { active: { id: c.id } }, `start ${start}`);
    await registry.recordStart(c.id, 'begun');
    registry = await reboot(t, registry);
  }
  t.match(await registry.atBoot(), { active: { id: a.id }, rolledBackFrom: c.id });
});

t.test('a model that is warm and is shown nothing is not left, however often the daemon ends', async (t) => {
  let registry = await withAll(t);
  await registry.activate(c.id);
  await registry.recordStart(c.id, 'begun');
  await registry.recordStart(c.id, 'failed');
  for (let start = 1; start <= 6; start += 1) {
    await registry.recordStart(c.id, 'begun');
    await registry.recordStart(c.id, 'warm');
    registry = await reboot(t, registry);
    t.match(await registry.atBoot(), { active: { id: c.id }, rolledBackFrom: undefined });
  }
  await registry.recordStart(c.id, 'failed');
  registry = await reboot(t, registry);
  t.match(await registry.atBoot(), { rolledBackFrom: c.id }, 'what failed before is not forgotten by it');
});

t.test(
  'starts of a candidate do not count, and where there is no way back the same one is tried',
  async (t) => {
    let registry = await withAll(t);
    for (let count = 0; count < 9; count += 1) {
      await registry.recordStart(b.id, 'begun');
      await registry.recordStart(b.id, 'failed');
    }
    t.match(await registry.atBoot(), { active: { id: a.id }, rolledBackFrom: undefined });
    for (let count = 0; count < 3; count += 1) await registry.recordStart(a.id, 'failed');
    registry = await reboot(t, registry);
    t.match(await registry.atBoot(), { active: { id: a.id }, rolledBackFrom: undefined });
  },
);

t.test('operations that are asked for at once run in their order', async (t) => {
  const registry = await open(t, t.testdir({}));
  await Promise.all([
    registry.install(a.bytes, a.manifest),
    registry.install(b.bytes, b.manifest),
    registry.activate(b.id),
    t.rejects(registry.activate(c.id), { code: 'NO_SUCH_MODEL' }),
    registry.install(c.bytes, c.manifest),
    registry.activate(c.id),
    registry.rollback(),
  ]);
  t.same(pointers(registry), [b.id, null, a.id]);
});

t.test('a second owner is refused, a reader is not', async (t) => {
  const registry = await withAll(t);
  const stateDir = join(registry.folder, '..');
  await t.rejects(new Registry({ stateDir }).start(), { code: 'BUSY', message: /in use by process \d+/ });
  const reader = await open(t, stateDir, true);
  t.equal(reader.active, a.id);
  t.equal(reader.writable, false);
  await t.rejects(reader.activate(b.id), { code: 'STORE_FAILED', message: /for reading only/ });
  await registry.activate(b.id);
  t.equal((await open(t, stateDir, true)).active, b.id);
});

t.test('a folder that cannot be written serves what it holds', async (t) => {
  const stateDir = mkdtempSync(join(tmpdir(), 'bitlane-registry-'));
  t.teardown(() => {
    chmodSync(join(stateDir, 'models'), 0o750);
    rmSync(stateDir, { recursive: true });
  });
  const writer = await withAll(t, stateDir);
  await writer.activate(b.id);
  writer.stop();
  chmodSync(stateDir, 0o755);
  for (const name of readdirSync(writer.folder, { recursive: true, encoding: 'utf8' })) {
    const path = join(writer.folder, name);
    chmodSync(path, statSync(path).isDirectory() ? 0o555 : 0o444);
  }
  chmodSync(writer.folder, 0o555);
  // Modes do not bind root, so root is somebody else for a while.
  const isRoot = process.geteuid?.() === 0;
  if (isRoot) process.seteuid?.(65_534);
  try {
    const registry = new Registry({ stateDir });
    const notices = await registry.start();
    t.match(notices.join(), /cannot be written \(EACCES\): models can be used, but not changed/);
    t.same(pointers(registry), [b.id, a.id, a.id]);
    t.match(await registry.atBoot(), { active: { id: b.id } });
    await t.rejects(registry.activate(a.id), { code: 'STORE_FAILED' });
    await t.rejects(registry.install(c.bytes, c.manifest), { code: 'STORE_FAILED' });
    t.equal(registry.active, b.id);
    registry.stop();
    const nowhere = new Registry({ stateDir: join(stateDir, 'models', 'not', 'there') });
    t.match(await nowhere.start(), [/cannot be written/]);
    t.equal((await nowhere.atBoot()).active, undefined);
  } finally {
    if (isRoot) process.seteuid?.(0);
  }
});

t.test('what killed installs left is swept, and nothing else', async (t) => {
  const registry = await withAll(t);
  const stateDir = join(registry.folder, '..');
  registry.stop();
  mkdirSync(join(registry.folder, '.incoming-0123456789abcdef'));
  mkdirSync(join(registry.folder, '.outgoing-0123456789abcdef'));
  writeFileSync(join(registry.folder, '.0123456789ab.tmp'), 'half');
  writeFileSync(join(registry.folder, 'lock.0123456789abcdef'), '');
  writeFileSync(join(registry.folder, 'notes.txt'), 'of the owner');
  await open(t, stateDir);
  t.same(
    readdirSync(registry.folder)
      .filter((name) => name.length < 64)
      .sort(),
    ['lock', 'notes.txt', 'registry.backup.json', 'registry.json'],
  );
});
