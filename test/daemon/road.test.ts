import { join } from 'node:path';
import t, { type Test as Tap } from 'tap';
import { parseConfig } from '../../src/config/index.js';
import { Road, type Outlet } from '../../src/daemon/road.js';
import type { FrameResult } from '../../src/detector/index.js';
import { openStore, type Store } from '../../src/store/index.js';
import { silentLog } from '../../src/system/index.js';
import { TOPICS } from '../../src/telemetry/index.js';

// An interval closes 5 s after its end: the tests wait side by side.
t.jobs = 5;

const CLASSES = ['car', 'truck'];
const base = {
  camera: { kind: 'replay', path: '/nowhere' },
  lines: [{ name: 'stop', from: [0, 0.5], to: [1, 0.5], forward: 'down', backward: 'up' }],
  zones: [
    {
      name: 'box',
      polygon: [
        [0, 0.6],
        [1, 0.6],
        [1, 1],
        [0, 1],
      ],
    },
  ],
  counting: { intervals: [1], emptyIntervals: false },
  telemetry: { trackPath: true, frames: true },
};

const resultOf = (seq: number, atMs: number, y: number | undefined): FrameResult => ({
  generation: 1,
  artifactId: 'a'.repeat(64),
  frame: {
    seq,
    receivedAtMs: atMs,
    wallMs: Date.now(),
    format: 'jpeg',
    width: 640,
    height: 360,
    data: new Uint8Array(1),
  },
  detections: y === undefined ? [] : [{ x1: 300, x2: 360, y1: y - 40, y2: y, classId: 1, score: 0.9 }],
  nonFinite: 0,
  timings: { preprocessMs: 1, inferenceMs: 1, postprocessMs: 1 },
  totalMs: 3,
});

interface Sent {
  readonly topic: string;
  readonly body: Record<string, unknown>;
}

const setUp = (store: Store) => {
  const sent: Sent[] = [];
  const frames: unknown[] = [];
  const outlet: Outlet = {
    enqueue: (topic, body) => {
      sent.push({ topic, body });
      return store.outbox.append(topic, JSON.stringify(body), { kind: 'counts', bootId: 'boot' });
    },
    publishFrame: (body) => frames.push(body) > 0,
  };
  const config = parseConfig(base);
  const road = new Road({
    config,
    store: store.keyValue,
    lastSeq: () => store.outbox.lastSeq,
    outlet,
    log: silentLog,
  });
  return { road, sent, frames, config };
};

/** A truck drives down the picture, over the line and into the zone. */
const drive = (road: Road): void => {
  const start = performance.now() - 3_000;
  for (let frame = 0; frame < 60; frame += 1) {
    road.see(resultOf(frame, start + frame * 33, 60 + frame * 5), CLASSES);
  }
};

const openIn = (t: Tap): Store => {
  const store = openStore(join(t.testdir(), 'bitlane.db'));
  t.teardown(() => store.close());
  return store;
};

const counted = (sent: readonly Sent[], part: 'lines' | 'zones'): number =>
  sent
    .filter(({ topic }) => topic.startsWith('counts/'))
    .flatMap(({ body }) => body[part] as { count: number }[])
    .reduce((sum, { count }) => sum + count, 0);

const settle = async (condition: () => boolean): Promise<void> => {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 50));
};

t.test('a vehicle is tracked, counted over line and zone once, and told with its path', async (t) => {
  const { road, sent, frames } = setUp(openIn(t));
  road.start();
  t.teardown(() => road.stop());
  drive(road);
  road.finishTracks();
  await settle(() => counted(sent, 'lines') > 0 && counted(sent, 'zones') > 0);
  t.equal(counted(sent, 'lines'), 1);
  t.equal(counted(sent, 'zones'), 1);
  const [line] = sent.flatMap(({ body }) => (body['lines'] as object[] | undefined) ?? []);
  t.same(line, { line: 'stop', direction: 'down', class: 'truck', count: 1 });
  const track = sent.find(({ topic }) => topic === 'event/track');
  t.match(track?.body, {
    class: 'truck',
    confidence: 1,
    model: 'a'.repeat(64),
    crossings: [{ line: 'stop', direction: 'down' }],
    zones: ['box'],
  });
  t.equal(frames.length, 60);
  for (const { topic, body } of sent) {
    const name = topic.startsWith('counts/') ? 'counts/<interval>' : topic;
    const spec = TOPICS.find((one) => one.topic === name);
    const stamped = {
      ...body,
      schema: 1,
      ts: new Date().toISOString(),
      boot_id: '3f0c1d2e-5b6a-4c7d-8e9f-0a1b2c3d4e5f',
      seq: 1,
      replayed: false,
    };
    t.equal(spec?.schema.safeParse(stamped).success, true, `${topic} fits its schema`);
  }
});

t.test('counts that were open are taken up by the next run', async (t) => {
  const store = openIn(t);
  const first = setUp(store);
  first.road.start();
  drive(first.road);
  first.road.stop();
  const { road, sent } = setUp(store);
  road.start();
  t.teardown(() => road.stop());
  const all = (): Sent[] => [...first.sent, ...sent];
  await settle(() => counted(all(), 'lines') > 0 && counted(all(), 'zones') > 0);
  t.equal(counted(all(), 'lines'), 1);
  t.equal(counted(all(), 'zones'), 1);
});

t.test('a kill between the two writes of a save repeats nothing and loses nothing', async (t) => {
  for (const taken of [0, 1, 2]) {
    const store = openStore(join(t.testdir(), `taken-${taken}.db`));
    const { road } = setUp(store);
    road.start();
    drive(road);
    road.stop();
    const saved = store.keyValue.get('counts', {
      safeParse: (data: unknown) => ({ success: true, data }),
    } as never);
    const body = {
      interval_s: 1,
      from: '2026-01-01T00:00:00.000Z',
      to: '2026-01-01T00:00:01.000Z',
      complete: true,
      observed_s: 1,
      lines: [],
      zones: [],
    };
    const after = store.outbox.lastSeq;
    store.keyValue.set('counts', {
      ...(saved as object),
      pending: [
        ['counts/1', body],
        ['counts/1', { ...body, from: '2026-01-01T00:00:01.000Z', to: '2026-01-01T00:00:02.000Z' }],
      ],
      after,
    });
    for (let i = 0; i < taken; i += 1) {
      store.outbox.append('counts/1', JSON.stringify(body), { kind: 'counts', bootId: 'killed' });
    }
    const next = setUp(store);
    next.road.start();
    next.road.stop();
    const resent = next.sent.filter(({ body: { from } }) => String(from).startsWith('2026-01-01T00:00:0'));
    t.equal(resent.length, 2 - taken, `${taken} had entered the outbox`);
    store.close();
  }
});

t.test('at the end of a file the open intervals are sent, as not complete', async (t) => {
  const { road, sent } = setUp(openIn(t));
  road.start();
  drive(road);
  road.closeCounts();
  road.stop();
  t.equal(counted(sent, 'lines'), 1);
  t.equal(counted(sent, 'zones'), 1);
  t.ok(sent.some(({ body }) => body['complete'] === false));
  t.same(road.totals, [{ line: 'stop', direction: 'down', className: 'truck', count: 1 }]);
});

t.test('a store that takes nothing does not stop counting', async (t) => {
  const store = openIn(t);
  const { road, sent } = setUp(store);
  road.start();
  t.teardown(() => road.stop());
  store.keyValue.set = () => {
    throw new Error('the disk is full');
  };
  drive(road);
  await settle(() => counted(sent, 'lines') > 0);
  t.equal(counted(sent, 'lines'), 1);
});

t.test('a new configuration takes lines and intervals over while it runs', async (t) => {
  const { road, sent, config } = setUp(openIn(t));
  road.start();
  t.teardown(() => road.stop());
  road.configure({ ...config, lines: [], counting: { ...config.counting, intervals: [2] } });
  drive(road);
  road.finishTracks();
  await settle(() => counted(sent, 'zones') > 0);
  t.equal(counted(sent, 'lines'), 0);
  t.equal(
    sent.some(({ topic }) => topic === 'counts/2'),
    true,
  );
});
