// The loss against what a teacher of the same network sees on its way: where it looks, and that it slopes towards the teacher.
import t from 'tap';
import { gradient, GRADIENT_SESSION, Ops } from '../../../src/autodiff/index.js';
import { inferShapes, writeModel } from '../../../src/onnx/index.js';
import { floatTensor, withSession } from '../../../src/runtime/index.js';
import { featureLoss, jointsOf, teacherFeature } from '../../../src/training/loss/index.js';
import { noise } from '../../onnx/bits.js';
import { Net } from '../../onnx/net.js';

const SIDE = 4;

/** A stem, two branches of it, joined, and a way round the last layer. */
const network = () => {
  const net = new Net(18);
  const silu = (x: ReturnType<Net['op']>) => net.op('Mul', [x, net.op('Sigmoid', [x])]);
  const conv = (x: ReturnType<Net['op']>, from: number, to: number) =>
    net.op('Conv', [x, net.weights([to, from, 1, 1]), net.weights([to])]);
  const x = net.input('x', [1, 2, SIDE, SIDE]);
  const stem = silu(conv(x, 2, 3));
  const joined = net.op('Concat', [silu(conv(stem, 3, 2)), silu(conv(stem, 3, 2))], { axis: 1 });
  const out = net.op('Add', [conv(joined, 4, 4), joined]);
  const dims = new Map([
    [stem.name, [1, 3, SIDE, SIDE]],
    [joined.name, [1, 4, SIDE, SIDE]],
  ]);
  for (const value of [stem, joined]) value.shape = dims.get(value.name);
  return { model: net.model(out), stem, joined, dims };
};

t.test('joints are what several layers take in, and not the two ways of a SiLU', (t) => {
  const { model, stem, joined } = network();
  inferShapes(model);
  t.same(jointsOf(model.graph), [stem.name, joined.name]);
  t.end();
});

const judge = async (
  x: Float32Array,
  teacher: (name: string, own: Float32Array) => Float32Array,
): Promise<{ loss: number; slope: Float32Array; own: Map<string, Float32Array> }> => {
  const { model, dims } = network();
  const names = [...dims.keys()];
  const plain = network().model;
  for (const name of names) {
    const value = plain.graph.value(name);
    if (value !== undefined) plain.graph.addOutput(value);
  }
  const input = floatTensor([1, 2, SIDE, SIDE], x);
  const seen = await withSession(writeModel(plain), {}, (session) => session.run({ x: input }));
  const own = new Map(names.map((name) => [name, Float32Array.from(seen[name]?.data as Float32Array)]));
  const { graph } = model;
  const { loss } = featureLoss(names)({
    graph,
    ops: new Ops(graph),
    outputs: [...graph.outputs],
    batch: 1,
  });
  const made = gradient(model, { loss: loss.name, of: ['x'] });
  const feeds = names.map((name) => [
    teacherFeature(name),
    floatTensor(dims.get(name) ?? [], teacher(name, own.get(name) ?? new Float32Array())),
  ]);
  const results = await withSession(writeModel(made.model), { ...GRADIENT_SESSION }, (session) =>
    session.run({ x: input, ...(Object.fromEntries(feeds) as Record<string, typeof input>) }),
  );
  return {
    loss: Number(results[loss.name]?.data[0]),
    slope: Float32Array.from(results[made.gradients.get('x') ?? '']?.data as Float32Array),
    own,
  };
};

t.test('a student that sees what its teacher sees loses nothing', async (t) => {
  const { loss, slope } = await judge(noise(2 * SIDE * SIDE, 1), (_name, own) => own);
  t.equal(loss, 0);
  t.ok(slope.every((value) => Math.abs(value) < 1e-6));
});

t.test('the loss is the mean share of what the teacher has, and its slope that of differences', async (t) => {
  const x = noise(2 * SIDE * SIDE, 1);
  const fixed = new Map<string, Float32Array>();
  const teacher = (name: string, own: Float32Array): Float32Array => {
    const known = fixed.get(name) ?? own.map((value, i) => value + 0.3 * Math.sin(i));
    fixed.set(name, known);
    return known;
  };
  const { loss, slope, own } = await judge(x, teacher);
  const sum = (values: Float32Array, of: (value: number, i: number) => number): number =>
    values.reduce((total, value, i) => total + of(value, i), 0);
  const shares = [...own].map(([name, values]) => {
    const theirs = fixed.get(name) ?? new Float32Array();
    return sum(values, (value, i) => (value - (theirs[i] ?? 0)) ** 2) / sum(theirs, (value) => value ** 2);
  });
  const expected = shares.reduce((a, b) => a + b, 0) / shares.length;
  t.ok(Math.abs(loss - expected) < 1e-5 * expected, `${loss} and ${expected}`);
  const step = 1e-2;
  for (const at of [0, 7, 20]) {
    const moved = (by: number): Float32Array => x.map((value, i) => (i === at ? value + by : value));
    const ahead = (await judge(moved(step), teacher)).loss;
    const behind = (await judge(moved(-step), teacher)).loss;
    const difference = (ahead - behind) / (2 * step);
    t.ok(
      Math.abs((slope[at] ?? 0) - difference) < 1e-3 + 0.02 * Math.abs(difference),
      `${slope[at] ?? NaN} and ${difference}`,
    );
  }
});

t.test('a value that the model does not have is named', (t) => {
  const { graph } = network().model;
  t.throws(
    () => featureLoss(['nowhere'])({ graph, ops: new Ops(graph), outputs: [...graph.outputs], batch: 1 }),
    /no value nowhere/,
  );
  t.end();
});
