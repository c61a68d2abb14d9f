// Editing: uses, names, order and subgraphs stay right whatever is done.
import fc from 'fast-check';
import t from 'tap';
import {
  cloneModel,
  extract,
  Graph,
  inferShapes,
  intsTensor,
  type Node,
  packBits,
  packTensor,
  readModel,
  removeDeadNodes,
  removeIdentities,
  removeUnusedInitializers,
  runPasses,
  tensorOf,
  unpackBits,
  unpackTensor,
  upgradeOpset,
  type Value,
  writeModel,
} from '../../src/onnx/index.js';
import type { Tensors } from '../../src/runtime/index.js';
import { differences, noise, outputsOf } from './bits.js';
import { ifModel } from './subgraphs.js';

const chain = (length: number): { graph: Graph; nodes: Node[]; x: Value } => {
  const graph = new Graph();
  const x = graph.addInput('x', 'float32', [2]);
  const nodes: Node[] = [];
  for (let i = 0; i < length; i++) {
    nodes.push(graph.addNode({ opType: 'Relu', name: `n${i}`, inputs: [nodes.at(-1)?.output() ?? x] }));
  }
  const last = nodes.at(-1)?.output();
  if (last !== undefined) graph.addOutput(last);
  return { graph, nodes, x };
};

const valueOf = (node: Node | undefined): Value => {
  const value = node?.output();
  if (value === undefined) throw new Error('no output');
  return value;
};

/** Everything that a graph promises of itself. */
const isSound = (graph: Graph): boolean => {
  const nodes = [...graph.nodes()];
  const values = new Set(graph.values);
  return (
    nodes.length === graph.nodeCount &&
    new Set(graph.values.map((value) => value.name)).size === values.size &&
    nodes.every(
      (node) =>
        node.inputs.every(
          (value, index) =>
            value === undefined ||
            (values.has(value) && value.uses.some((use) => use.node === node && use.index === index)),
        ) &&
        node.outputs.every((value) => value === undefined || (values.has(value) && value.producer === node)),
    ) &&
    graph.values.every((value) =>
      value.uses.every(({ node, index }) => node.input(index) === value && !node.isRemoved),
    )
  );
};

t.test('uses are kept', async (t) => {
  const { graph, nodes, x } = chain(3);
  const [a, b] = [valueOf(nodes[0]), valueOf(nodes[1])];
  t.same(a.users, [nodes[1]]);
  const add = graph.addNode({ opType: 'Add', inputs: [a, a] });
  t.equal(a.uses.length, 3);
  t.equal(a.users.length, 2);
  add.setInput(1, x);
  t.equal(a.uses.length, 2);
  graph.replaceUses(b, valueOf(add));
  t.equal(nodes[2]?.input(0), valueOf(add));
  t.notOk(b.isUsed);
  t.throws(() => graph.removeNode(add), { code: 'INTERNAL' }, 'it is in use');
  if (nodes[1] !== undefined) graph.removeNode(nodes[1]);
  t.equal(graph.value(b.name), undefined);
  t.ok(isSound(graph));
});

t.test('a walk goes on while nodes come and go', async (t) => {
  const { graph, nodes, x } = chain(6);
  const seen: string[] = [];
  for (const node of graph.nodes()) {
    seen.push(node.name);
    if (node === nodes[1]) {
      // This one, and the one after it.
      for (const gone of [nodes[1], nodes[2]])
        if (gone !== undefined) graph.replaceNode(gone, [valueOf(nodes[0])]);
    }
    if (node === nodes[3]) graph.addNode({ opType: 'Neg', name: 'new', inputs: [x] }, { after: node });
    if (node === nodes[4]) graph.addNode({ opType: 'Neg', name: 'before', inputs: [x] }, { before: node });
  }
  t.same(seen, ['n0', 'n1', 'n3', 'new', 'n4', 'n5']);
  t.same(
    Array.from(graph.nodes(), (node) => node.name),
    ['n0', 'n3', 'new', 'before', 'n4', 'n5'],
  );
  t.ok(isSound(graph));
});

t.test('an output keeps its name whatever takes its place', async (t) => {
  const { graph, nodes, x } = chain(2);
  const out = valueOf(nodes[1]);
  const { name } = out;
  graph.replaceUses(out, valueOf(nodes[0]));
  t.same(
    graph.outputs.map((value) => value.name),
    [name],
  );
  t.equal(graph.outputs[0], valueOf(nodes[0]));
  graph.replaceUses(valueOf(nodes[0]), x);
  t.same(
    graph.outputs.map((value) => value.name),
    [name],
  );
  t.equal(graph.outputs[0]?.producer?.opType, 'Identity', 'an input has a name of its own');
  t.equal(x.name, 'x');
  t.ok(isSound(graph));
});

t.test('order is made right, and a cycle is named', async (t) => {
  const { graph, nodes, x } = chain(4);
  const late = graph.addNode({ opType: 'Neg', name: 'late', inputs: [x] });
  nodes[1]?.setInput(0, valueOf(late));
  graph.sort();
  t.same(
    Array.from(graph.nodes(), (node) => node.name),
    ['n0', 'late', 'n1', 'n2', 'n3'],
  );
  nodes[1]?.setInput(0, valueOf(nodes[3]));
  t.throws(() => graph.sort(), { code: 'BAD_MODEL', message: /cycle through node Relu n[123]/ });
});

t.test('names are unique', async (t) => {
  const { graph, x } = chain(1);
  t.throws(() => graph.addNode({ opType: 'Relu', inputs: [x], outputs: ['x'] }), { code: 'BAD_MODEL' });
  t.throws(() => graph.addInput('x'), { code: 'BAD_MODEL' });
  const c = graph.addInitializer('x', intsTensor(1));
  t.not(c.name, 'x');
  t.equal(graph.rename(x, c.name) === c.name, false);
  t.equal(graph.value(x.name), x);
});

t.test('random edits leave a sound graph', async (t) => {
  const step = fc.tuple(fc.constantFrom('add', 'remove', 'replace', 'input', 'rename'), fc.nat(), fc.nat());
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const { graph } = chain(5);
      for (const [what, i, j] of steps) {
        const nodes = [...graph.nodes()];
        const [node, value] = [nodes[i % nodes.length], graph.values[j % graph.values.length]];
        if (node === undefined || value === undefined) continue;
        if (what === 'add')
          graph.addNode({ opType: 'Add', inputs: [value, node.input(0)] }, { before: node });
        else if (what === 'rename') graph.rename(value, `v${i % 7}`);
        else if (what === 'input') node.setInput(j % 3, value);
        else if (what === 'replace') graph.replaceUses(valueOf(node), value);
        else if (node.outputs.every((output) => output?.isUsed === false)) graph.removeNode(node);
      }
      return isSound(graph) && graph.outputs.length === 1;
    }),
    { numRuns: 200 },
  );
  t.pass('sound');
});

const feeds = (condition: boolean): Tensors => ({
  x0: { type: 'float32', dims: [2], data: Float32Array.of(-3, 4) },
  condition: { type: 'bool', dims: [], data: Uint8Array.of(condition ? 1 : 0) },
});

t.test('what a subgraph takes from outside stays', async (t) => {
  const bytes = ifModel();
  const model = readModel(bytes);
  t.same(Buffer.from(writeModel(model)), Buffer.from(bytes));
  const { graph } = model;
  t.same(
    graph.value('h')?.users.map((node) => node.opType),
    ['If'],
  );
  runPasses(model, [removeDeadNodes, removeUnusedInitializers, removeIdentities]);
  t.equal(graph.value('unused'), undefined);
  t.ok(graph.value('w'));
  t.same(
    Array.from(graph.nodes(), (node) => node.opType),
    ['Relu', 'If'],
    'the Identity is gone: the subgraph takes its input',
  );
  const w = graph.value('w');
  if (w === undefined) throw new Error('no w');
  graph.rename(w, 'weights');
  t.throws(() => graph.addInput('then.y'), { code: 'BAD_MODEL' }, 'a name inside is taken');
  inferShapes(model);
  const part = extract(model, ['x0', 'condition'], ['y']);
  for (const condition of [true, false]) {
    const before = await outputsOf(bytes, feeds(condition));
    for (const after of [model, cloneModel(model), part]) {
      t.same(differences(before, await outputsOf(writeModel(after), feeds(condition))), []);
    }
  }
  runPasses(model, [upgradeOpset(25)]);
  t.same(
    differences(await outputsOf(bytes, feeds(true)), await outputsOf(writeModel(model), feeds(true))),
    [],
  );
});

t.test('packing and unpacking', async (t) => {
  for (const [type, low, high] of [
    ['int4', -8, 7],
    ['uint4', 0, 15],
    ['int2', -2, 1],
    ['uint2', 0, 3],
  ] as const) {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: low, max: high }), { maxLength: 40 }), (values) => {
        const bytes = packBits(type, values);
        return (
          bytes.length === Math.ceil((values.length * (type.endsWith('4') ? 4 : 2)) / 8) &&
          [...unpackBits(type, bytes, values.length)].join() === values.join()
        );
      }),
    );
    t.throws(() => packBits(type, [high + 1]), { code: 'INTERNAL' });
    t.throws(() => packBits(type, [0.5]), { code: 'INTERNAL' });
  }
  t.same([...packBits('int4', [1, -1, 7])], [0xf1, 0x07], 'the first in the low bits');
  t.same([...packBits('uint2', [1, 2, 3, 0, 2])], [0b00111001, 0b10]);
  const tensor = packTensor('int4', [3, 1], [-8, 0, 7]);
  t.same([...unpackTensor(tensor)], [-8, 0, 7]);
  t.throws(() => packTensor('int4', [2], [1]), { code: 'INTERNAL' });
  t.throws(() => tensorOf('float32', [3], noise(2)), { code: 'INTERNAL' });
});
