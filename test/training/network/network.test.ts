// Networks from scratch: what a definition may say, and that what comes out can be imported and served.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { foldBatchNorm, removeUnusedInitializers, runPasses, writeModel } from '../../../src/onnx/index.js';
import { floatTensor, withSession } from '../../../src/runtime/index.js';
import {
  buildNetwork,
  checkNetwork,
  detectorOf,
  NETWORKS,
  openNetwork,
} from '../../../src/training/index.js';
import { createHead } from '../../../src/vision/index.js';

const classes = ['car', 'bus', 'truck'];

t.test('every network that has a name gives what its head reads, normalizations folded or not', async (t) => {
  for (const [name, network] of [
    ...Object.entries(NETWORKS).slice(0, 2),
    ['decoupled', { ...openNetwork('tiny'), head: 'decoupled' as const }] as const,
  ]) {
    const model = buildNetwork(network, classes, 7);
    const detector = detectorOf(network, classes);
    const x = floatTensor(
      [1, 3, network.height, network.width],
      Float32Array.from({ length: 3 * network.width * network.height }, (_, i) => (i % 97) / 97),
    );
    const run = (bytes: Uint8Array) =>
      withSession(bytes, {}, (session) => {
        createHead(detector).checkOutputs(session.outputs);
        return session.run({ [detector.input.name]: x });
      });
    const before = (await run(writeModel(model)))['output'];
    t.strictSame(writeModel(buildNetwork(network, classes, 7)).length, writeModel(model).length);
    runPasses(model, [foldBatchNorm, removeUnusedInitializers]);
    t.notOk(
      [...model.graph.nodes()].some((node) => node.is('BatchNormalization')),
      `${name} is folded`,
    );
    const after = (await run(writeModel(model)))['output'];
    let [apart, objectness] = [0, 0];
    before?.data.forEach((value, i) => {
      apart = Math.max(apart, Math.abs(Number(value) - Number(after?.data[i])));
      if (i % 8 === 4) objectness = Math.max(objectness, Number(value));
    });
    t.ok(apart < 1e-4, `${name} computes the same folded`);
    t.ok(objectness > 0.001 && objectness < 0.2, `${name} begins near its prior`);
  }
});

t.test('equal seeds make equal weights', (t) => {
  const bytes = (seed: number): Buffer =>
    Buffer.from(writeModel(buildNetwork(openNetwork('tiny'), classes, seed)));
  t.ok(bytes(1).equals(bytes(1)));
  t.notOk(bytes(1).equals(bytes(2)));
  t.end();
});

t.test('what does not hold together is refused with a sentence', (t) => {
  const tiny = openNetwork('tiny');
  const refused = (change: object, message: RegExp): void => {
    t.throws(() => checkNetwork({ ...tiny, ...change }, 'mine.json'), { code: 'BAD_CONFIG', message });
  };
  refused({ width: 330 }, /multiples of 32/);
  refused({ strides: [16, 64] }, /its strides are/);
  refused({ stem: 5 }, /stem/);
  refused({ colour: 'red' }, /colour/i);
  const folder = t.testdir();
  writeFileSync(join(folder, 'a.json'), '{');
  t.throws(() => openNetwork(join(folder, 'a.json')), { code: 'BAD_CONFIG', message: /not JSON/ });
  t.throws(() => openNetwork('huge'), { code: 'BAD_CONFIG', message: /neither one of the networks/ });
  writeFileSync(join(folder, 'b.json'), JSON.stringify(tiny));
  t.strictSame(openNetwork(join(folder, 'b.json')), tiny);
  t.end();
});
