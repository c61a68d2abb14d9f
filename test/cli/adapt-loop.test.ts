// `bitlane adapt start|cancel|status|history` from the command line: history without a daemon, plain refusals.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import t from 'tap';
import { type AdaptationRecord, reportPath } from '../../src/adaptation/index.js';
import { openStore } from '../../src/store/index.js';
import { runMany } from './lines.js';

const folder = t.testdir();
const stateDir = join(folder, 'state');
const config = join(folder, 'bitlane.json');
writeFileSync(
  config,
  JSON.stringify({ stateDir, runtimeDir: stateDir, camera: { kind: 'replay', path: folder } }),
);

const [model, parent] = ['a'.repeat(64), 'b'.repeat(64)];
const live = {
  frames: 900,
  seconds: 60,
  fps: 15,
  p95Ms: 61,
  detections: 1_200,
  confidence: 0.7,
  tracks: 40,
  flipsPerTrack: 0.3,
  nonFinite: 0,
};
const record: AdaptationRecord = {
  id: '20260131-031500-1a2b',
  trigger: 'schedule',
  startedAt: '2026-01-31T03:15:00.000Z',
  endedAt: '2026-01-31T04:20:00.000Z',
  outcome: 'committed',
  reason: 'mAP50 +0.002',
  parent,
  baseline: parent,
  candidate: model,
  budget: { modelBytes: 620_000 },
  pairs: [['car', 'truck']],
  objects: 120,
  labelled: true,
  significant: [{ component: 'Conv_3', divergence: 0.2 }],
  bits: { '4': 0.8, '8': 0.2 },
  int8: 0,
  averageBits: 4.8,
  modelBytes: 618_000,
  runMs: 60,
  parentRunMs: 75,
  worth: {
    by: 'labels',
    pictures: 300,
    objects: 200,
    criticalAccuracy: { before: 0.8, after: 0.82, change: { value: 0.02, low: 0.01, high: 0.03 } },
  },
  canary: {
    frames: 150,
    p50Ms: 60,
    p95Ms: 71.3,
    servingP95Ms: 73,
    agreement: 0.97,
    memoryMb: 118.4,
    bothMb: 240,
    modelBytes: 618_000,
  },
  live: { before: live, after: { ...live, confidence: 0.72 }, agreement: { before: null, after: null } },
  rungs: [],
  times: { significance: 1_800_000, candidate: 300_000 },
  peakMb: 900,
};

t.test('the history is there with and without a daemon', async (t) => {
  const [none] = await runMany(folder, [['adapt', 'history', '--config', config]]);
  t.match(none, { code: 0, stdout: /No adaptation has run yet/ });
  mkdirSync(stateDir);
  const store = openStore(join(stateDir, 'bitlane.db'));
  t.teardown(() => store.close());
  store.adaptations.put({ id: record.id, startedMs: 1, body: JSON.stringify(record) });
  const page = reportPath(stateDir, record.id);
  mkdirSync(dirname(page), { recursive: true });
  writeFileSync(page, '<svg/>');
  const copy = join(folder, 'page.html');
  const history = (...args: string[]) => ['adapt', 'history', ...args, '--config', config];
  const [list, json, one, written, ...bad] = await runMany(folder, [
    history(),
    history('--json'),
    history('20260131'),
    history('20260131', '--report', copy, '--json'),
    history('2027'),
    history('--report', copy),
    history('--limit', 'many'),
    ['adapt', 'history', '--state', join(folder, 'mistyped')],
    ['models', 'usee'],
    ['adapt', 'status', '--config', config],
    ['adapt', 'cancel', '--config', config],
    ['adapt', 'start', '--config', config, '--pairs', 'car', '--json'],
    ['adapt', 'start', '--config', config, '--budget-bytes', '1000', '--json'],
  ]);
  t.match(list, {
    code: 0,
    stdout: /20260131-031500-1a2b +committed +schedule +car\/truck +4\.80 +618000 +71\.3/,
  });
  t.same(JSON.parse(json?.stdout ?? ''), { adaptations: [record] });
  t.match(one?.stdout, /confused +car \/ truck \(120 objects\)/);
  t.match(one?.stdout, /bits +4: 80 %, 8: 20 %/);
  t.match(one?.stdout, /budget +620000 bytes\n/);
  t.match(one?.stdout, /took +3900 s, 2100 s of steps, 900 MB/);
  t.match(one?.stdout, /one run +60\.0 ms, 0\.80 of that of the FP32 model/);
  t.match(one?.stdout, /p95 71\.3 ms, 118\.4 MB, 618000 bytes/);
  t.match(JSON.parse(written?.stdout ?? ''), { id: record.id });
  t.equal(readFileSync(copy, 'utf8'), '<svg/>');
  t.same(
    bad.map(({ code }) => code),
    [2, 2, 2, 2, 2, 1, 1, 2, 1],
  );
  t.match(bad[0]?.stderr, /is no adaptation/);
  t.match(bad[3]?.stderr, /the state folder .*mistyped does not exist/);
  t.match(bad[4]?.stderr, /^bitlane: unknown command 'usee'/);
  t.match(bad[5]?.stderr, /no daemon runs/);
  for (const [index, { stderr }] of bad.entries()) {
    // Commander adds where help is.
    if (index !== 4) t.equal(stderr.trim().split('\n').length, 1, stderr);
  }
  t.match(JSON.parse(bad[8]?.stdout ?? ''), { error: { code: 'UNREACHABLE' } });
});
