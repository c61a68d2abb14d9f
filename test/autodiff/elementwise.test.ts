// Gradient rules of operators that work element by element, and of quantization's.
import t from 'tap';
import { type Tensor, tensorOf, type Value } from '../../src/onnx/index.js';
import { type Filling, gradients, type Trial } from './check.js';

const dims = (net: Trial): number[] => net.ints(net.int(1, 4), 1, 4);

/** A function with its attributes. */
const unary = (
  opType: string,
  filling: Filling = {},
  attributes: (net: Trial) => Record<string, number | { f: number }> = () => ({}),
): void => gradients(t, opType, (net) => net.op(opType, [net.x(dims(net), filling)], attributes(net)));

unary('Relu', { kinks: [0] });
unary('LeakyRelu', { kinks: [0] }, (net) => ({ alpha: { f: net.pick(0.01, 0.1, 0.3) } }));
unary('Elu', { kinks: [0] }, (net) => ({ alpha: { f: net.pick(0.5, 1, 1.5) } }));
unary('ThresholdedRelu', { kinks: [0.5] }, () => ({ alpha: { f: 0.5 } }));
unary('Sigmoid', { low: -4, high: 4 });
unary('HardSigmoid', { low: -4, high: 4, kinks: [-2.5, 2.5] });
unary('HardSwish', { low: -5, high: 5, kinks: [-3, 3] });
unary('Softplus');
unary('Tanh');
unary('Erf');
unary('Exp');
unary('Log', { low: 0.2, high: 3 });
unary('Sqrt', { low: 0.2, high: 3 });
unary('Reciprocal', { low: 0.3, high: 2 });
unary('Neg');
unary('Abs', { kinks: [0] });
unary('Sin');
unary('Cos');
unary('Atan');
unary('Identity');

gradients(t, 'Clip with both ends, one, none', (net) => {
  const [low, high] = net.pick<[number | undefined, number | undefined]>(
    [-0.7, 0.9],
    [0.1, undefined],
    [undefined, 0.3],
    [undefined, undefined],
  );
  const x = net.x(dims(net), { kinks: [-0.7, 0.9, 0.1, 0.3] });
  return net.op('Clip', [x, ...[low, high].map((v) => (v === undefined ? undefined : net.floats([], [v])))]);
});

gradients(t, 'Clip: its ends', (net) => {
  const x = net.x(net.ints(2, 2, 4));
  return net.op('Clip', [x, net.x([], { low: -1, high: -0.4 }), net.x([], { low: 0.3, high: 1.1 })]);
});

/** Two shapes that broadcast. */
const pair = (net: Trial): [number[], number[]] => {
  const full = net.ints(net.int(1, 4), 1, 4);
  const part = full.map((dim) => (net.flag() ? dim : 1)).slice(net.int(0, full.length));
  return net.flag() ? [full, part] : [part, full];
};

const binary = (opType: string, a: Filling = {}, b: Filling = {}): void =>
  gradients(
    t,
    `${opType}, broadcast`,
    (net) => {
      const [left, right] = pair(net);
      return net.op(opType, [net.x(left, a), net.x(right, b)]);
    },
    { runs: 10 },
  );

binary('Add');
binary('Sub');
binary('Mul');
binary('Div', {}, { low: 0.4, high: 2 });
binary('Pow', { low: 0.3, high: 2 }, { low: -1.5, high: 2.5 });

gradients(t, 'Pow of negative bases', (net) =>
  net.op('Pow', [net.x(dims(net), { kinks: [0] }), net.floats([], [net.pick(2, 3, 4)])]),
);
gradients(t, 'a value used twice by one node', (net) => {
  const x = net.x(dims(net));
  return [net.op('Mul', [x, x]), net.op('Add', [x, x])];
});
gradients(t, 'PRelu', (net) => {
  const full = net.ints(3, 1, 4);
  return net.op('PRelu', [net.x(full, { kinks: [0] }), net.x([full[0] ?? 1, 1, 1])]);
});

for (const opType of ['Max', 'Min', 'Sum', 'Mean']) {
  gradients(
    t,
    `${opType} of one to four`,
    (net) => {
      const full = net.ints(3, 1, 3);
      const inputs = Array.from({ length: net.int(1, 4) }, () =>
        net.x(full.map((dim) => (net.flag() ? dim : 1)).slice(net.int(0, 2))),
      );
      return net.op(opType, inputs);
    },
    { runs: 10 },
  );
}

gradients(t, 'Where, with a comparison', (net) => {
  const [left, right] = pair(net);
  const [a, b] = [net.x(left), net.x(right)];
  return net.op('Where', [net.op(net.pick('Greater', 'Less'), [a, b]), a, net.op('Mul', [b, b])]);
});
gradients(t, 'SiLU, both ways round', (net) => {
  const x = net.x(dims(net), { low: -5, high: 5 });
  const s = net.op('Sigmoid', [x]);
  return net.flag() ? net.op('Mul', [x, s]) : [net.op('Mul', [s, x]), s];
});
gradients(t, 'Cast', (net) => {
  const x = net.x(dims(net));
  const wide = net.op('Cast', [net.op('Mul', [x, x])], { to: 11 });
  return net.op('Cast', [wide], { to: 1 });
});
gradients(t, 'a value that goes through no gradient is constant', (net) => {
  const x = net.x(dims(net), { kinks: [-2, -1, 0, 1, 2] });
  return net.op('Mul', [x, net.op('Floor', [x])]);
});

/** Zero points, one a channel or one for all. */
const codes = (type: 'int8' | 'uint8', channels: number): Tensor => {
  const values = Array.from({ length: channels }, (_, i) => (type === 'int8' ? i - 1 : 120 + i));
  const dims = channels === 1 ? [] : [channels];
  return type === 'int8'
    ? tensorOf(type, dims, Int8Array.from(values))
    : tensorOf(type, dims, Uint8Array.from(values));
};

/** Moves values whose code would be half-way between two, or just at the grid's end. */
const awayFromHalves = (net: Trial, x: Value, scale: Value, axis: number): void => {
  const [values, scales] = [net.given.get(x.name), net.given.get(scale.name)];
  if (values === undefined || scales === undefined) throw new Error('no such input');
  const inner = values.dims.slice(axis + 1).reduce((a, b) => a * b, 1);
  values.data.forEach((value, i) => {
    const step = scales.data[Math.floor(i / inner) % scales.data.length] ?? 1;
    const off = (value / step) % 0.5;
    if (Math.min(Math.abs(off), 0.5 - Math.abs(off)) < 0.05)
      values.data[i] = Math.fround(value + 0.15 * step);
  });
};

for (const per of ['tensor', 'channel'] as const) {
  gradients(
    t,
    `QuantizeLinear and DequantizeLinear per ${per}: straight through, with the step size's gradient`,
    (net) => {
      const full = net.ints(3, 2, 4);
      const axis = net.int(0, 2);
      const channels = per === 'tensor' ? 1 : (full[axis] ?? 1);
      const type = net.pick<'int8' | 'uint8'>('int8', 'uint8');
      const x = net.x(full, { low: -3, high: 3 });
      const scale = net.x(per === 'tensor' ? [] : [channels], { low: 0.009, high: 0.016 });
      awayFromHalves(net, x, scale, axis);
      const zero = codes(type, channels);
      const q = net.op('QuantizeLinear', [x, scale, zero], { axis });
      q.type = type;
      return net.op('DequantizeLinear', [q, scale, zero], { axis });
    },
    { runs: 10 },
  );
}
