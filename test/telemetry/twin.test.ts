// The twin on a real store: versions, refusals, restarts, crashes; and two thousand hostile configurations.
import { join } from 'node:path';
import fc from 'fast-check';
import t, { type Test } from 'tap';
import type { JsonObject } from '../../src/config/index.js';
import { openStore, type Store } from '../../src/store/index.js';
import { silentLog } from '../../src/system/index.js';
import { ConfigTwin, type DesiredChange } from '../../src/telemetry/index.js';
import { schemaOf } from '../helpers/consumer.js';
import { localConfig, temporary } from './device.js';
import { scaled } from '../helpers/fuzz.js';

t.setTimeout(scaled(120_000));

const BOOT = '6f9619ff-8b86-4d01-b42d-00cf4fc964ff';
const bytes = (value: unknown): Buffer =>
  Buffer.from(typeof value === 'string' ? value : JSON.stringify(value));
const set = (version: number, changes: JsonObject): Buffer => bytes({ version, changes });

const storeOf = (t: Test): Store => {
  const store = openStore(join(temporary(t), 'twin.db'));
  t.teardown(() => store.close());
  return store;
};
const start = (store: Store, changes: JsonObject = {}): ConfigTwin => {
  const twin = new ConfigTwin({
    store: store.keyValue,
    log: silentLog,
    bootId: BOOT,
    local: localConfig(changes),
  });
  twin.boot();
  return twin;
};
const taken = (change: DesiredChange | undefined): DesiredChange => {
  if (change === undefined) throw new Error('there is no change');
  change.accept();
  return change;
};

t.test('pending, applied, again, stale, other content', async (t) => {
  const twin = start(storeOf(t));
  t.match(twin.reported, { version: 0, status: 'applied', active_version: 0, active_changes: {} });
  const change = twin.propose(set(5, { site: 'here' }));
  t.match(change, { version: 5, config: { site: 'here' }, diff: { changed: ['site'] } });
  t.match(twin.reported, { version: 5, status: 'pending', active_version: 0 });
  t.equal(twin.config.site, undefined);
  t.throws(() => twin.propose(set(6, {})), { code: 'BUSY' });
  t.throws(() => twin.setLocal(localConfig()), { code: 'BUSY' });
  change?.accept();
  change?.reject(['too late']);
  t.match(twin.reported, {
    version: 5,
    status: 'applied',
    active_version: 5,
    active_changes: { site: 'here' },
  });
  t.equal(twin.config.site, 'here');

  t.equal(twin.propose(set(5, { site: 'here' })), undefined);
  t.match(twin.reported, { version: 5, status: 'applied', errors: [] });
  t.equal(twin.propose(set(4, {})), undefined);
  t.match(twin.reported, {
    version: 4,
    status: 'rejected',
    errors: ['version 4 is older than version 5, which came before: raise the version'],
    active_version: 5,
  });
  t.equal(twin.propose(set(5, { site: 'there' })), undefined);
  t.match(twin.reported, {
    version: 5,
    status: 'applied',
    errors: ['version 5 came before with other changes: raise the version'],
    active_changes: { site: 'here' },
  });
  t.equal(twin.propose(set(5, { site: 'here' })), undefined);
  t.match(twin.reported, { version: 5, status: 'applied', errors: [] });
  t.equal(twin.propose(set(6, { site: 'here' })), undefined, 'a new version of the same needs no work');
  t.match(twin.reported, { version: 6, status: 'applied', active_version: 6 });
  taken(twin.propose(set(7, {})));
  t.equal(twin.config.site, undefined, 'an empty set goes back to the file');
  t.match(twin.reported, { version: 7, active_changes: {} });
});

t.test('the same version again while it is being taken up', async (t) => {
  const twin = start(storeOf(t));
  const reports: unknown[] = [];
  twin.on('reported', ({ version, status, errors }) => reports.push([version, status, errors]));
  const other = 'version 2 came before with other changes: raise the version';

  const first = twin.propose(set(2, { site: 'here' }));
  t.equal(twin.isRepeated(set(2, { site: 'here' })), true);
  t.equal(twin.isRepeated(set(3, { site: 'here' })), false);
  t.equal(twin.isRepeated(bytes('{')), false);
  first?.accept();
  t.same(
    reports.splice(0),
    [
      [2, 'pending', []],
      [2, 'applied', []],
    ],
    'the same changes are nothing new',
  );
  t.equal(twin.isRepeated(set(2, { site: 'here' })), false, 'nothing is being taken up');

  const second = twin.propose(set(3, { site: 'there' }));
  for (const site of ['a', 'b']) t.equal(twin.isRepeated(set(3, { site })), true);
  second?.accept();
  const otherThree = other.replace('2', '3');
  t.same(
    reports.splice(0),
    [
      [3, 'pending', []],
      [3, 'pending', [otherThree]],
      [3, 'pending', [otherThree]],
      [3, 'applied', [otherThree]],
    ],
    'other changes are refused beside the outcome of the first',
  );
  t.equal(twin.config.site, 'there');

  const third = twin.propose(set(4, { site: 'nowhere' }));
  t.equal(twin.isRepeated(set(4, {})), true);
  third?.reject(['it does not start']);
  t.same(reports.at(-1), [4, 'rejected', ['it does not start', other.replace('2', '4')]]);
  t.equal(twin.config.site, 'there');

  const local = twin.setLocal(localConfig({ logLevel: 'warn' }));
  t.equal(
    twin.isRepeated(set(3, { site: 'a' })),
    false,
    'a change of the local file has no version of its own',
  );
  local?.accept();
});

t.test('a version that was taken back, again with other changes', async (t) => {
  const store = storeOf(t);
  taken(start(store).propose(set(1, { site: 'one' })));
  for (let crash = 0; crash < 2; crash += 1) start(store);
  const twin = start(store);
  const { errors = [] } = twin.reported ?? {};
  t.match(twin.reported, { version: 1, status: 'rejected', errors: [/was taken back/] });
  t.equal(twin.propose(set(1, { site: 'two' })), undefined);
  t.match(twin.reported, {
    version: 1,
    status: 'rejected',
    errors: [...errors, 'version 1 came before with other changes: raise the version'],
    active_version: 0,
  });
});

t.test('what is refused, and why', async (t) => {
  const twin = start(storeOf(t));
  taken(twin.propose(set(1, { site: 'good' })));
  const good = twin.config;
  for (const [payload, sentence] of [
    ['{"version":2', /^the desired configuration is not JSON$/],
    [Buffer.from([0xff, 0xfe, 0x7b]), /is not JSON$/],
    ['[]', /must be a mapping of keys/],
    [{ version: 2 }, /changes/],
    [{ version: 1.5, changes: {} }, /version must be a whole number/],
    [{ version: 0, changes: {} }, /version must be at least 1/],
    [{ version: 2, changes: {}, url: 'http://x' }, /unknown key url/],
    [{ version: 2, changes: { mqtt: { url: 'mqtt://elsewhere' } } }, /^mqtt may not be changed remotely/],
    [{ version: 2, changes: { camera: { path: '/etc' } } }, /^camera.path may not be changed remotely/],
    [{ version: 2, changes: { remote: { allow: ['mqtt'] } } }, /^remote may not be changed remotely/],
    ['{"version":2,"changes":{"__proto__":{"site":"x"}}}', /__proto__ may not be changed remotely/],
    [
      { version: 2, changes: { detector: { threads: 'all' } } },
      /^detector.threads must be a number, not a text$/,
    ],
    [`{"version":2,"changes":${'{"a":'.repeat(2_000)}1${'}'.repeat(2_000)}}`, /more than 32 levels deep/],
    [`{"version":2,"changes":{"site":"${'x'.repeat(300_000)}"}}`, /at most 262144 are taken$/],
  ] as const) {
    const given = Buffer.isBuffer(payload) ? payload : bytes(payload);
    t.equal(twin.propose(given), undefined, given.toString('utf8').slice(0, 60));
    t.match(twin.reported, { status: 'rejected', errors: [sentence], active_version: 1 });
    t.equal(twin.config, good);
  }
  const change = twin.propose(set(2, { detector: { threads: 2 } }));
  change?.reject(['the detector did not start']);
  t.match(twin.reported, {
    version: 2,
    status: 'rejected',
    errors: ['the detector did not start'],
    active_version: 1,
  });
  t.equal(twin.config, good);
  taken(twin.propose(set(2, { detector: { threads: 2 } })));
  t.match(twin.reported, { version: 2, status: 'applied' });
});

t.test('over restarts; two crashes take it back; a clean stop is no crash', async (t) => {
  const store = storeOf(t);
  let twin = start(store);
  taken(twin.propose(set(1, { site: 'one' })));
  twin.stopped();
  twin = start(store);
  t.equal(twin.config.site, 'one');
  twin.confirm();
  taken(twin.propose(set(2, { site: 'two' })));

  for (let clean = 0; clean < 4; clean += 1) {
    twin = start(store);
    t.equal(twin.config.site, 'two');
    twin.stopped();
  }
  t.equal(start(store).config.site, 'two', 'first attempt');
  t.equal(start(store).config.site, 'two', 'second attempt');
  twin = start(store);
  t.equal(twin.config.site, 'one', 'taken back');
  const sentence = 'version 2 was taken back: 2 starts with it did not last';
  t.match(twin.reported, { version: 2, status: 'rejected', errors: [sentence], active_version: 1 });
  t.equal(twin.propose(set(2, { site: 'two' })), undefined, 'the retained message comes again');
  t.match(twin.reported, { version: 2, status: 'rejected', errors: [sentence], active_version: 1 });
  t.match(start(store).reported, { version: 2, status: 'rejected', errors: [sentence] });

  twin = start(store);
  taken(twin.propose(set(3, { site: 'three' })));
  t.match(twin.reported, { version: 3, status: 'applied', errors: [] });
  t.equal(start(store).config.site, 'three');
  twin = start(store);
  twin.confirm();
  for (let crash = 0; crash < 4; crash += 1)
    t.equal(start(store).config.site, 'three', 'confirmed once for all');
});

t.test('what ends the daemon while it is taken up is left at the third start', (t) => {
  const store = storeOf(t);
  const bad = set(4, { site: 'deadly' });
  t.ok(start(store).propose(bad), 'and there it ends');
  t.ok(start(store).propose(bad), 'it is retained, and comes again');
  const third = start(store);
  t.equal(third.propose(bad), undefined);
  t.match(third.reported, { version: 4, status: 'rejected', active_version: 0, errors: [/not taken up/] });
  t.equal(start(store).propose(bad), undefined, 'nor later');
  const other = start(store);
  taken(other.propose(set(5, { site: 'good' })));
  t.equal(other.config.site, 'good');
  t.end();
});

t.test('a clean stop while something is taken up is no end by it', (t) => {
  const store = storeOf(t);
  for (let i = 0; i < 4; i += 1) {
    const twin = start(store);
    t.ok(twin.propose(set(4, { site: 'slow' })));
    twin.stopped();
  }
  t.end();
});

t.test('the local file changes', async (t) => {
  const store = storeOf(t);
  let twin = start(store);
  taken(twin.propose(set(1, { detector: { threads: 4 } })));
  const change = taken(twin.setLocal(localConfig({ site: 'file' })));
  t.same([...change.diff.parts], ['info']);
  t.match(twin.config, { site: 'file', detector: { threads: 4 } });
  t.equal(twin.setLocal(localConfig({ site: 'file' })), undefined, 'nothing changed');
  const narrow = { remote: { allow: ['site'] } };
  t.throws(() => twin.setLocal(localConfig(narrow)), { code: 'BAD_CONFIG' });
  t.match(twin.config, { site: 'file', detector: { threads: 4 } }, 'the last good stays');
  twin.setLocal(localConfig())?.reject(['no']);
  t.equal(twin.config.site, 'file');

  twin = start(store, narrow);
  t.equal(twin.config.detector.threads, 1, 'a set that no longer fits is left out');
  t.match(twin.reported, {
    version: 1,
    status: 'rejected',
    active_version: 0,
    errors: [/may not be changed remotely/],
  });
  twin.confirm();
  twin = start(store);
  t.equal(twin.config.detector.threads, 4, 'and is there again when it fits');
});

t.test('the view is not turned under masks', async (t) => {
  const polygon = [
    [0, 0],
    [0.5, 0],
    [0.5, 1],
  ];
  const masks = [{ name: 'left', polygon }];
  const other = [{ name: 'right', polygon: polygon.map(([x = 0, y = 0]) => [1 - x, y]) }];
  const camera = { kind: 'libcamera', path: null };
  const refused = (twin: ConfigTwin, version: number, changes: JsonObject, key = 'camera.hflip'): void => {
    const before = twin.config;
    t.equal(twin.propose(set(version, changes)), undefined, JSON.stringify(changes));
    t.match(twin.reported, { version, status: 'rejected' });
    t.match(
      twin.reported?.errors,
      [new RegExp(`^${key} may not be changed remotely while masks are set`)],
      JSON.stringify(twin.reported?.errors),
    );
    t.equal(twin.reported?.errors.length, 1);
    t.equal(twin.config, before);
  };

  const open = start(storeOf(t), { camera });
  taken(open.propose(set(1, { camera: { hflip: true, rotation: 180 } })));
  t.match(open.config.camera, { hflip: true, rotation: 180 }, 'without masks all is as before');
  taken(open.setLocal(localConfig({ camera, masks })));
  refused(open, 2, {}, 'camera.rotation and camera.hflip');
  refused(open, 2, { camera: { hflip: true, rotation: 0 } }, 'camera.rotation');
  taken(open.propose(set(2, { camera: { hflip: true, rotation: 180, fps: 10 } })));
  t.match(open.config.camera, { fps: 10 }, 'other keys of the camera may be changed');

  const masked = start(storeOf(t), { camera, masks });
  refused(masked, 1, { camera: { hflip: true } });
  refused(masked, 1, { camera: { vflip: true }, site: 'here' }, 'camera.vflip');
  taken(masked.propose(set(1, { camera: { hflip: false }, site: 'here' })));

  const allow = ['masks', 'camera.hflip', 'site'];
  const both = start(storeOf(t), { camera, masks, remote: { allow } });
  refused(both, 1, { camera: { hflip: true } });
  taken(both.propose(set(1, { camera: { hflip: true }, masks: other })));
  refused(both, 2, { camera: { hflip: true } });
  taken(both.propose(set(2, { camera: { hflip: true }, masks: other, site: 'here' })));
  taken(both.propose(set(3, {})));
  t.match(both.config, { camera: { hflip: false }, masks }, 'masks and view of the file go together');
  taken(both.propose(set(4, { camera: { hflip: true }, masks: [] })));
  refused(both, 5, { camera: { hflip: true } });
});

t.test('keys that need a restart', async (t) => {
  const allow = { remote: { allow: ['telemetry', 'site'] } };
  const store = storeOf(t);
  let twin = start(store, allow);
  const first = taken(twin.propose(set(1, { telemetry: { outboxMaxRows: 500 }, site: 'x' })));
  t.same(first.diff.restartRequired, ['telemetry.outboxMaxRows']);
  t.match(twin.reported, {
    status: 'pending',
    restart_required: ['telemetry.outboxMaxRows'],
    active_version: 1,
  });
  taken(twin.propose(set(2, { telemetry: { outboxMaxRows: 500 }, site: 'y' })));
  t.match(twin.reported, { version: 2, status: 'pending', restart_required: ['telemetry.outboxMaxRows'] });
  twin = start(store, allow);
  t.match(twin.reported, { version: 2, status: 'applied', restart_required: [] });
  t.equal(twin.config.telemetry.outboxMaxRows, 500);
});

t.test('two thousand hostile configurations: one report each, the last good one stays', async (t) => {
  const twin = start(storeOf(t));
  taken(twin.propose(set(1, { site: 'good' })));
  const good = twin.config;
  const validate = schemaOf('config-reported');
  let reports = 0;
  twin.on('reported', () => void (reports += 1));
  const key = fc.oneof(
    fc.constantFrom(
      'site',
      'detector',
      'threads',
      'lines',
      'mqtt',
      'url',
      'camera',
      'path',
      '__proto__',
      'constructor',
      'remote',
      'allow',
      '',
    ),
    fc.string({ maxLength: 8 }),
  );
  const tree = fc.letrec<{ value: unknown }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 5 },
      fc.constantFrom(null, true, -1, 1e308, 'x', 'mqtt://evil', '../../etc/passwd', '\u0000', '\ud800'),
      fc.double(),
      fc.string({ unit: 'binary', maxLength: 12 }),
      fc.array(tie('value'), { maxLength: 3 }),
      fc
        .array(fc.tuple(key, tie('value')), { maxLength: 3 })
        .map((entries) => Object.fromEntries(entries) as unknown),
    ),
  })).value;
  const version = fc.oneof(
    fc.integer({ min: 2, max: 1_000 }),
    fc.constantFrom(0, -1, 1, 1.5, 2 ** 60, null, '2'),
  );
  // Never "site" alone, which would be a good one; "zz" makes sure that something is wrong.
  const payload = fc.oneof(
    fc.uint8Array({ minLength: 1, maxLength: 80 }).map((value) => Buffer.from(value)),
    tree.map((value) => bytes(JSON.stringify(value) ?? 'null')),
    fc
      .tuple(version, fc.dictionary(key, tree, { maxKeys: 4 }))
      .map(([given, changes]) => bytes(JSON.stringify({ version: given, changes: { ...changes, zz: 1 } }))),
    fc
      .tuple(version, tree)
      .map(([given, threads]) => bytes({ version: given, changes: { detector: { threads: [threads] } } })),
    fc
      .integer({ min: 33, max: 2_000 })
      .map((depth) => bytes(`{"version":2,"changes":${'[1,'.repeat(depth)}`)),
    fc
      .integer({ min: 33, max: 2_000 })
      .map((depth) => bytes(`{"version":2,"changes":{"site":${'['.repeat(depth)}${']'.repeat(depth)}}}`)),
  );
  let judged = 0;
  for (const given of fc.sample(payload, scaled(2_000))) {
    judged += 1;
    const before = reports;
    const change = twin.propose(given);
    if (
      change !== undefined ||
      reports !== before + 1 ||
      twin.config !== good ||
      // Version 1 is in force: other changes under its name are refused beside that.
      twin.reported?.status !== (twin.reported?.version === 1 ? 'applied' : 'rejected') ||
      twin.reported.errors.length === 0 ||
      twin.reported.active_version !== 1 ||
      !validate(JSON.parse(JSON.stringify(twin.reported)))
    ) {
      t.fail(`${given.toString('latin1').slice(0, 200)} gave ${JSON.stringify(twin.reported)}`);
    }
  }
  t.equal(judged, scaled(2_000));
  t.equal(twin.propose(set(1, { site: 'good' })), undefined);
  t.match(twin.reported, { version: 1, status: 'applied' });
});
