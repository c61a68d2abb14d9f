// Constants get short names; what a graph promises keeps its own, and so does what it computes.
import t from 'tap';
import { readModel, runPasses, shortenNames, writeModel } from '../../src/onnx/index.js';
import { floatTensor, withSession } from '../../src/runtime/index.js';
import { Net } from './net.js';

t.test('constants get short names, inputs and outputs keep theirs', async (t) => {
  const net = new Net(18);
  const x = net.input('pictures', [1, 4]);
  const sum = net.op('Add', [x, net.weights([1, 4])]);
  const product = net.op('Mul', [sum, net.weights([1, 4])]);
  net.graph.rename(product, 'the.result');
  for (const [i, value] of net.graph.initializers.entries()) net.graph.rename(value, `a.long.name.${i}`);
  const model = net.model(product);
  const before = writeModel(model);
  t.same(runPasses(model, [shortenNames]), ['shorten names']);
  const after = writeModel(model);
  t.ok(after.length < before.length, `${after.length} of ${before.length} bytes`);
  t.ok(model.graph.initializers.every(({ name }) => name.length === 1));
  t.same(
    [model.graph.inputs, model.graph.outputs].flat().map(({ name }) => name),
    ['pictures', 'the.result'],
  );
  const run = (bytes: Uint8Array): Promise<number[]> =>
    withSession(bytes, {}, async (session) =>
      Array.from(
        (await session.run({ pictures: floatTensor([1, 4], Float32Array.of(1, 1, 1, 1)) }))['the.result']
          ?.data as Float32Array,
      ),
    );
  t.same(await run(after), await run(before));
  t.equal(writeModel(readModel(after)).length, after.length);
});
