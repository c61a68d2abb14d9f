// The teacher: a real process of the FP32 model that an artifact descends from.
import { readFileSync } from 'node:fs';
import t, { type Test } from 'tap';
import { parseConfig } from '../../src/config/index.js';
import { ancestorOf, Teacher } from '../../src/daemon/teacher.js';
import type { FrameResult } from '../../src/detector/index.js';
import type { Look } from '../../src/examples/index.js';
import { Registry } from '../../src/registry/index.js';
import { silentLog } from '../../src/system/index.js';
import { encodeJpeg } from '../../src/vision/index.js';
import { CLASSES, isAlive, stateFolder } from '../helpers/daemon.js';
import { until } from '../helpers/mosquitto.js';
import { tinyDetector } from '../helpers/tinyModel.js';

t.setTimeout(120_000);

const box = { x1: 10, y1: 10, x2: 30, y2: 30, score: 0.9 };
const modelOf = (classId: number, marker: number) =>
  tinyDetector({ head: 'yolox', classes: CLASSES, boxes: [{ ...box, classId }], marker });
const [FLOAT, QUANTIZED] = [modelOf(1, 1), modelOf(0, 2)];
const allocation = {
  format: 'bitlane-allocation',
  version: 1,
  components: { conv: { bits: 8, execution: 'int8' } },
};

const install = async (t: Test, parentId: string | null): Promise<Registry> => {
  const registry = new Registry({ stateDir: stateFolder(t) });
  await registry.start();
  t.teardown(() => registry.stop());
  await registry.install(FLOAT.bytes, FLOAT.manifest);
  await registry.install(QUANTIZED.bytes, { ...QUANTIZED.manifest, parentId, allocation });
  return registry;
};

const open = (t: Test, registry: Registry, load: () => number, isFree = true) => {
  const heard: { readonly serving: Look; readonly teacher: Look }[] = [];
  const config = parseConfig({
    camera: { kind: 'replay', path: '/nowhere' },
    examples: { teacher: { enabled: true, framesPerMinute: 60 } },
  });
  const teacher = new Teacher({
    registry,
    config: () => config,
    isFree: () => isFree,
    hear: (_frame, serving, word) => {
      heard.push({ serving, teacher: word });
      return { observations: [], candidates: [], both: 1, agreed: 0 };
    },
    load,
    log: silentLog,
  });
  t.teardown(() => teacher.stop());
  return { teacher, heard };
};

const data = encodeJpeg(
  { format: 'rgb24', width: 64, height: 64, data: new Uint8Array(3 * 64 * 64).fill(90) },
  80,
);
let seq = 0;
const seen = (): FrameResult => ({
  generation: 1,
  artifactId: QUANTIZED.id,
  frame: {
    seq: (seq += 1),
    receivedAtMs: performance.now(),
    wallMs: Date.now(),
    format: 'jpeg',
    width: 64,
    height: 64,
    data,
  },
  detections: [{ ...box, classId: 0 }],
  nonFinite: 0,
  timings: { preprocessMs: 0, inferenceMs: 0, postprocessMs: 0 },
  totalMs: 1,
});

/** Shows it frames until something is so. */
const feed = async (teacher: Teacher, check: () => boolean, what: string): Promise<void> => {
  const timer = setInterval(() => teacher.offer(seen(), CLASSES), 20);
  try {
    await until(check, what, 60_000);
  } finally {
    clearInterval(timer);
  }
};

t.test(
  'it looks at a frame, in a process after everybody else, and is gone when it is stopped',
  async (t) => {
    const registry = await install(t, FLOAT.id);
    t.equal((await ancestorOf(registry, QUANTIZED.id))?.id, FLOAT.id);
    t.equal(await ancestorOf(registry, FLOAT.id), undefined);
    const { teacher, heard } = open(t, registry, () => 0);
    await feed(teacher, () => heard.length > 0, 'it has looked');
    t.match(heard[0], {
      serving: { model: QUANTIZED.id, detections: [{ classId: 0 }] },
      teacher: { model: FLOAT.id, classes: CLASSES, detections: [{ classId: 1 }] },
    });
    t.same(teacher.agreementOf(QUANTIZED.id), { both: 1, agreed: 0 });
    const pid = teacher.pid ?? -1;
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    t.equal(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[16], '19', 'nice 19');
    await teacher.stop();
    t.notOk(isAlive(pid));
  },
);

t.test('a busy device has no teacher, nor has an artifact without an installed ancestor', async (t) => {
  const registry = await install(t, 'c'.repeat(64));
  t.equal(await ancestorOf(registry, QUANTIZED.id), undefined);
  const busy = open(t, registry, () => 5);
  await feed(busy.teacher, () => busy.teacher.counters.busy > 0, 'it was due');
  t.equal(busy.teacher.pid, undefined);
  const swapping = open(t, registry, () => 0, false);
  await feed(swapping.teacher, () => swapping.teacher.counters.busy > 0, 'it was due');
  const orphan = open(t, registry, () => 0);
  orphan.teacher.offer(seen(), CLASSES);
  await orphan.teacher.stop();
  t.same(orphan.heard, []);
  t.equal(orphan.teacher.counters.failures, 0);
});
