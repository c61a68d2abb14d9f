// The real detector process with real (tiny) models: what it answers, what it refuses, how it ends.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import type { Detection, Picture } from '../../src/vision/index.js';
import { image, isAlive, jpegOf, realGeneration, show, temporaryFolder, tinyArtifact } from './parts.js';

const folder = temporaryFolder(t);
const BOX = { x1: 8, y1: 16, x2: 40, y2: 48, classId: 1, score: 0.75 };

/** Every number of a box to the nearest tenth. */
const rounded = (detections: readonly Detection[]): Record<string, number>[] =>
  detections.map(({ rival: _rival, ...detection }) =>
    Object.fromEntries(Object.entries(detection).map(([key, value]) => [key, Math.round(value * 10) / 10])),
  );

t.test('boxes arrive in pixels of the frame, whatever its format', async (t) => {
  for (const [head, inputType] of [
    ['yolox', 'float32'],
    ['yolov8', 'uint8'],
    ['yolov8', 'float32'],
    ['end-to-end', 'float32'],
    ['gfl', 'uint8'],
    ['gfl', 'float32'],
  ] as const) {
    const target = realGeneration(tinyArtifact(folder, { head, inputType, boxes: [BOX] }));
    t.teardown(() => target.stop());
    await target.start();
    // 128 x 96 in an input of 64 x 64: half the size; 64 x 48 pixels, at the top or in the middle.
    const top = head === 'yolov8' ? 8 : 0;
    const wide = image(128, 96);
    const yuv: Picture = { format: 'yuv420', width: 128, height: 96, data: new Uint8Array(18_432).fill(128) };
    for (const picture of [wide, jpegOf(wide), yuv]) {
      const answer = await show(target, picture);
      if (answer.type !== 'result') throw new Error(`${head}, ${picture.format}: ${answer.type}`);
      const { detections, frame, nonFinite, totalMs, timings } = answer.result;
      t.same(
        rounded(detections),
        rounded([{ x1: 16, y1: 32 - 2 * top, x2: 80, y2: 96 - 2 * top, classId: 1, score: 0.75 }]),
        `${head}, ${picture.format}`,
      );
      const rival = detections[0]?.rival;
      if (head === 'end-to-end') t.equal(rival, undefined);
      else t.ok(rival?.classId === 0 && rival.score < 0.01, 'the next best class comes along');
      t.match(frame, { width: 128, height: 96, format: picture.format });
      t.equal(nonFinite, 0);
      t.ok(totalMs >= timings.preprocessMs + timings.inferenceMs + timings.postprocessMs);
    }
    t.equal(target.inFlight, 0);
  }
});

t.test('only vehicles are kept unless the configuration names classes', async (t) => {
  const boxes = [
    { ...BOX, classId: 0 },
    { ...BOX, classId: 1 },
  ];
  const artifact = tinyArtifact(folder, { classes: ['car', 'person'], boxes });
  for (const [detector, expected] of [
    [{}, [0]],
    [{ classes: ['person'] }, [1]],
    [{ classes: ['car', 'person'] }, [0, 1]],
    [{ classes: ['car', 'person'], scoreThreshold: 0.8 }, []],
    [{ classes: ['car', 'person'], maxDetections: 1 }, [0]],
  ] as const) {
    const target = realGeneration(artifact, detector);
    t.teardown(() => target.stop());
    await target.start();
    const answer = await show(target, image(64, 64));
    t.same(answer.type === 'result' && answer.result.detections.map(({ classId }) => classId), expected);
  }
});

t.test('the bytes of a large frame reach the model, between small ones and of any size', async (t) => {
  const artifact = tinyArtifact(folder, { boxes: [BOX], failAbove: 150 });
  const target = realGeneration(artifact);
  t.teardown(() => target.stop());
  await target.start();
  for (const [width, height] of [
    [640, 480],
    [64, 64],
    [1280, 720],
    [640, 480],
    [1921, 1081],
  ] as const) {
    for (const value of [30, 120]) t.equal((await show(target, image(width, height, value))).type, 'result');
  }
  t.equal((await show(target, image(1280, 720, 200))).type, 'failed', 'a bright one fails it, as it should');
});

t.test('a torn frame is dropped with its reason, and the process goes on', async (t) => {
  const target = realGeneration(tinyArtifact(folder, { boxes: [BOX] }));
  t.teardown(() => target.stop());
  await target.start();
  const good = jpegOf(image(64, 64));
  for (const data of [good.data.subarray(0, good.data.length >> 1), good.data.subarray(0, 10)]) {
    t.match(await show(target, { ...good, data }), { type: 'dropped', reason: /^the JPEG / });
    t.match(await show(target, good), { type: 'result' });
  }
  t.match(await show(target, { ...good, width: 128 }), {
    type: 'dropped',
    reason: /64x64 pixels where the frame has 128x64/,
  });
  t.match(await show(target, good), { type: 'result' });
});

t.test(
  'an altered, missing or swapped model is refused with a plain sentence before it is loaded',
  async (t) => {
    const broken: Record<string, { rule: RegExp; spoil: (modelPath: string) => void }> = {
      altered: {
        rule: /model\.onnx is altered: its SHA-256 is not the id/,
        spoil: (path) => {
          const bytes = readFileSync(path);
          const at = bytes.length >> 1;
          bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at);
          writeFileSync(path, bytes);
        },
      },
      truncated: {
        rule: /it is truncated or altered/,
        spoil: (path) => writeFileSync(path, readFileSync(path).subarray(0, 500)),
      },
      missing: { rule: /model\.onnx is missing/, spoil: (path) => rmSync(path) },
    };
    for (const [marker, [name, { rule, spoil }]] of Object.entries(broken).entries()) {
      const artifact = tinyArtifact(folder, { marker: marker + 100 });
      spoil(artifact.modelPath);
      const target = realGeneration(artifact);
      await t.rejects(target.start(), { code: 'DETECTOR_FAILED', message: rule }, name);
      t.equal(isAlive(target.pid), false);
    }
    const [artifact, other] = [tinyArtifact(folder, { marker: 110 }), tinyArtifact(folder, { marker: 111 })];
    const target = realGeneration({ ...artifact, modelPath: other.modelPath });
    await t.rejects(target.start(), { message: /holds another artifact/ });
  },
);

t.test('a model that is not what its manifest says is refused', async (t) => {
  for (const [options, rule] of [
    [{ inputName: 'other', inputShape: [1, 3, 32, 32] }, /input other is float32 \[1, 3, 32, 32\]/],
    [{ extraInput: true }, /must have the one input/],
    [{ outputClasses: 9 }, /output/],
    [{ opset: 99 }, /cannot be loaded/],
  ] as const) {
    const target = realGeneration(tinyArtifact(folder, options));
    await t.rejects(target.start(), { code: 'DETECTOR_FAILED', message: rule });
    t.equal(isAlive(target.pid), false);
  }
});

t.test('a model that fails or crashes fails its generation, not the supervisor', async (t) => {
  for (const [options, rule] of [
    [{ failAbove: 150 }, /failed while it ran/],
    [{ crashAbove: 150 }, /the detector process ended \(SIG[A-Z]+\)/],
  ] as const) {
    await t.test(
      Object.keys(options).join(),
      { skip: 'crashAbove' in options && process.arch !== 'x64' ? 'the model crashes on x64 only' : false },
      async (t) => {
        const target = realGeneration(tinyArtifact(folder, options));
        t.teardown(() => target.stop());
        await target.start();
        t.match(await show(target, image(64, 64, 90)), { type: 'result' });
        t.match(await show(target, image(64, 64, 250)), { type: 'failed', message: rule });
        t.equal(target.state, 'ended');
        await target.stop();
        t.equal(isAlive(target.pid), false);
      },
    );
  }
});

t.test('values that are not finite are counted and never become detections', async (t) => {
  const target = realGeneration(tinyArtifact(folder, { boxes: [BOX], nan: true }));
  t.teardown(() => target.stop());
  await target.start();
  const answer = await show(target, image(64, 64));
  if (answer.type !== 'result') throw new Error(answer.type);
  t.same(answer.result.detections, []);
  t.ok(answer.result.nonFinite > 0);
});

t.test(
  'a process that is stopped by a signal misses its frame deadline; Ctrl-C is not its business',
  async (t) => {
    const target = realGeneration(tinyArtifact(folder, { boxes: [BOX] }), { frameTimeoutMs: 1_000 });
    t.teardown(() => target.stop());
    await target.start();
    const { pid } = target;
    if (pid === undefined) throw new Error('no process');
    process.kill(pid, 'SIGINT');
    t.match(await show(target, image(64, 64)), { type: 'result' });
    process.kill(pid, 'SIGSTOP');
    t.match(await show(target, image(64, 64)), { type: 'failed', message: /was not done after 1000 ms/ });
    await target.stop();
    t.equal(isAlive(pid), false);
  },
);

t.test('a process that was held up answers its frames in their order', async (t) => {
  const target = realGeneration(tinyArtifact(folder, { boxes: [BOX] }));
  t.teardown(() => target.stop());
  await target.start();
  const { pid } = target;
  if (pid === undefined) throw new Error('no process');
  const order: number[] = [];
  target.on('result', ({ frame }) => order.push(frame.seq));
  const offered: number[] = [];
  for (let round = 0; round < 20; round += 1) {
    while (target.inFlight > 0) await sleep(1);
    process.kill(pid, 'SIGSTOP');
    for (let held = 0; held < 2; held += 1) {
      const seq = offered.length;
      while (!target.wants) await sleep(1);
      t.ok(target.offer({ ...image(320, 240), seq, receivedAtMs: performance.now(), wallMs: 0 }));
      offered.push(seq);
    }
    process.kill(pid, 'SIGCONT');
  }
  while (target.inFlight > 0) await sleep(1);
  t.same(order, offered);
});

t.test('a supervisor that is killed leaves no detector behind', async (t) => {
  const artifact = tinyArtifact(folder, { boxes: [BOX] });
  const code = `
    import { pathToFileURL } from 'node:url';
    const { artifact, parts } = JSON.parse(process.argv[1]);
    const { realGeneration } = await import(pathToFileURL(parts).href);
    const target = realGeneration(artifact);
    await target.start();
    console.log(target.pid);
    setInterval(() => {}, 1000);`;
  const parts = join(import.meta.dirname, 'parts.js');
  const owner = spawn(
    process.execPath,
    ['--input-type=module', '-e', code, JSON.stringify({ artifact, parts })],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  t.teardown(() => owner.kill('SIGKILL'));
  const [line] = (await once(owner.stdout, 'data')) as [Buffer];
  const pid = Number(line.toString());
  t.equal(isAlive(pid), true);
  owner.kill('SIGKILL');
  for (let waits = 0; isAlive(pid) && waits < 200; waits += 1) await sleep(50);
  t.equal(isAlive(pid), false);
});
