// Gradient rules of operators that rearrange: reshape, transpose, join, cut, pick, pad, spread.
import t from 'tap';
import { intsTensor } from '../../src/onnx/index.js';
import { gradients, type Trial } from './check.js';

const dims = (net: Trial, low = 1, high = 4): number[] => net.ints(net.int(1, 4), low, high);
const axisOf = (net: Trial, of: readonly number[]): number => net.int(-of.length, of.length - 1);
const at = (axis: number, of: readonly number[]): number => (axis < 0 ? axis + of.length : axis);
const shuffled = (net: Trial, count: number): number[] => {
  const left = Array.from({ length: count }, (_, i) => i);
  return Array.from({ length: count }, () => left.splice(net.int(0, left.length - 1), 1)[0] ?? 0);
};

gradients(t, 'Reshape, Flatten', (net) => {
  const of = net.ints(3, 1, 4);
  const x = net.x(of);
  const flat = net.op('Flatten', [net.op('Mul', [x, x])], { axis: net.int(0, 3) });
  return [net.op('Reshape', [x, net.pick([-1], [0, -1], [1, -1, 1])]), flat];
});
gradients(t, 'Squeeze, Unsqueeze', (net) => {
  const x = net.x(net.ints(2, 2, 4));
  const wide = net.op('Unsqueeze', [x, net.pick([0], [-1], [0, 2], [1, 3])]);
  const back = net.op('Squeeze', [net.op('Mul', [wide, wide])]);
  return [wide, back];
});
gradients(t, 'Transpose', (net) => {
  const of = dims(net);
  const perm = net.flag() ? { perm: shuffled(net, of.length) } : {};
  return net.op('Transpose', [net.x(of)], perm);
});
gradients(
  t,
  'Concat',
  (net) => {
    const of = dims(net);
    const axis = axisOf(net, of);
    const parts = Array.from({ length: net.int(1, 4) }, () =>
      net.x(of.map((dim, i) => (i === at(axis, of) ? net.int(1, 3) : dim))),
    );
    return net.op('Concat', parts, { axis });
  },
  { runs: 8 },
);
gradients(
  t,
  'Split, with parts that nothing needs',
  (net) => {
    const of = dims(net);
    const axis = axisOf(net, of);
    const sizes = net.ints(net.int(2, 3), 1, 3);
    const total = of.map((dim, i) => (i === at(axis, of) ? sizes.reduce((a, b) => a + b) : dim));
    const parts = net.ops('Split', [net.x(total), sizes], sizes.length, { axis });
    return net.flag() ? parts : parts.slice(1);
  },
  { runs: 8 },
);
gradients(t, 'Split into equal parts', (net) => {
  const size = net.int(2, 5);
  return net.ops('Split', [net.x([2, size])], 2, { axis: 1, num_outputs: 2 });
});
gradients(
  t,
  'Slice: starts and ends of all kinds, steps both ways',
  (net) => {
    const of = dims(net, 2, 7);
    const axes = shuffled(net, of.length).slice(0, net.int(1, of.length));
    const cuts = axes.map((axis) => {
      const size = of[axis] ?? 1;
      const step = net.pick(1, 1, 2, 3, -1, -2);
      const [low, high] = [net.int(0, size - 1), size];
      return step > 0
        ? {
            start: net.flag() ? low : low - size,
            end: net.pick(high, 2 ** 40, Math.max(low + 1, high - 1)),
            step,
          }
        : { start: net.pick(size - 1, -1, 100), end: net.pick(-(2 ** 40), -size - 1), step };
    });
    const list = (key: 'start' | 'end' | 'step'): number[] => cuts.map((cut) => cut[key]);
    return net.op('Slice', [net.x(of), list('start'), list('end'), axes, list('step')]);
  },
  { runs: 25 },
);
gradients(
  t,
  'Gather: any indices, some twice, some from the end',
  (net) => {
    const of = dims(net);
    const axis = axisOf(net, of);
    const size = of[at(axis, of)] ?? 1;
    const picks = net.ints(net.int(1, 5), -size, size - 1);
    return net.op('Gather', [net.x(of), picks], { axis });
  },
  { runs: 10 },
);
gradients(t, 'Gather: a permutation', (net) => {
  const of = net.ints(3, 2, 5);
  const axis = axisOf(net, of);
  return net.op('Gather', [net.x(of), shuffled(net, of[at(axis, of)] ?? 1)], { axis });
});
gradients(t, 'Gather: one place, a matrix of places', (net) => {
  const of = net.ints(2, 2, 4);
  const [x, axis] = [net.x(of), net.int(0, 1)];
  const one = net.op('Gather', [x, intsTensor(net.int(0, 1))], { axis });
  const shape = net.op('Reshape', [net.graph.addInitializer('picks', intsTensor([0, 1, 1, 0])), [2, 2]]);
  return [one, net.op('Gather', [x, shape], { axis })];
});
gradients(t, 'GatherElements, GatherND', (net) => {
  const x = net.x([3, 4]);
  const picks = net.op('Reshape', [
    net.graph.addInitializer('picks', intsTensor(net.ints(8, -3, 2))),
    [2, 4],
  ]);
  const places = net.op('Reshape', [
    net.graph.addInitializer('places', intsTensor([0, 1, 2, 3, 0, 1])),
    [3, 2],
  ]);
  const rows = net.op('Reshape', [net.graph.addInitializer('rows', intsTensor([2, 0, 2])), [3, 1]]);
  return [
    net.op('GatherElements', [x, picks], { axis: 0 }),
    net.op('GatherND', [x, places]),
    net.op('GatherND', [x, rows]),
  ];
});
gradients(
  t,
  'Pad, also below zero, and its value',
  (net) => {
    const of = dims(net, 2, 4);
    const pads = of.flatMap(() => [net.int(-1, 2), net.int(0, 2)]);
    const value = net.flag() ? net.x([]) : undefined;
    return net.op('Pad', [
      net.x(of),
      [...pads.filter((_, i) => i % 2 === 0), ...pads.filter((_, i) => i % 2 === 1)],
      value,
    ]);
  },
  { runs: 10 },
);
gradients(t, 'Pad along some axes', (net) =>
  net.op('Pad', [net.x(net.ints(3, 2, 3)), [1, 0, 2, 1], undefined, net.pick([2, 0], [-1, 1])]),
);
gradients(t, 'Expand, Tile', (net) => {
  const of = net.ints(3, 1, 3);
  const part = of.map((dim) => (net.flag() ? dim : 1)).slice(net.int(0, 2));
  const x = net.x(part);
  return [net.op('Expand', [x, of]), net.op('Tile', [x, net.ints(part.length, 1, 3)])];
});
gradients(t, 'DepthToSpace, SpaceToDepth', (net) => {
  const block = net.int(1, 3);
  const x = net.x([2, block * block * net.int(1, 2), block * net.int(1, 2), block]);
  return [
    net.op('DepthToSpace', [x], { blocksize: block, mode: net.pick('DCR', 'CRD') }),
    net.op('SpaceToDepth', [x], { blocksize: block }),
  ];
});
