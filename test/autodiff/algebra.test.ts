// Gradient rules of matrix products, reductions and normalizations.
import t from 'tap';
import { gradients, type Trial } from './check.js';

gradients(
  t,
  'MatMul of matrices and stacks, broadcast',
  (net) => {
    const [m, k, n] = [net.int(1, 4), net.int(1, 4), net.int(1, 4)];
    const stack = net.ints(net.int(0, 2), 1, 3);
    const part = stack.map((dim) => (net.flag() ? dim : 1)).slice(net.int(0, stack.length));
    const [a, b] = net.flag() ? [stack, part] : [part, stack];
    return net.op('MatMul', [net.x([...a, m, k]), net.x([...b, k, n])]);
  },
  { runs: 15 },
);
gradients(
  t,
  'MatMul with vectors',
  (net) => {
    const k = net.int(1, 4);
    const many = [...net.ints(net.int(1, 2), 1, 3), net.int(1, 3)];
    return net.pick(
      () => net.op('MatMul', [net.x([k]), net.x([k])]),
      () => net.op('MatMul', [net.x([...many, k]), net.x([k])]),
      () => net.op('MatMul', [net.x([k]), net.x([...many.slice(1), k, 2])]),
    )();
  },
  { runs: 12 },
);
gradients(
  t,
  'Gemm',
  (net) => {
    const [m, k, n] = [net.int(1, 4), net.int(1, 4), net.int(1, 4)];
    const [transA, transB] = [net.int(0, 1), net.int(0, 1)];
    const bias = net.pick([m, n], [n], [1], [m, 1], [], undefined);
    return net.op(
      'Gemm',
      [
        net.x(transA === 1 ? [k, m] : [m, k]),
        net.x(transB === 1 ? [n, k] : [k, n]),
        bias === undefined ? undefined : net.x(bias),
      ],
      { transA, transB, alpha: { f: net.pick(1, 0.5) }, beta: { f: net.pick(1, 2) } },
    );
  },
  { runs: 15 },
);

const reduction = (opType: string, low = -2): void =>
  gradients(
    t,
    opType,
    (net) => {
      const dims = net.ints(net.int(1, 4), 1, 4);
      const axes = dims.flatMap((_, axis) => (net.flag() ? [net.flag() ? axis : axis - dims.length] : []));
      const empty = axes.length === 0 ? { noop_with_empty_axes: net.int(0, 1) } : {};
      const picked = net.flag() && axes.length === 0 ? undefined : axes;
      // The engine's other reductions do not take an empty list for "none".
      const isNone = picked?.length === 0;
      return net.op(opType, [net.x(dims, { low, kinks: [0] }), isNone ? undefined : picked], {
        keepdims: net.int(0, 1),
        ...(isNone ? {} : empty),
      });
    },
    { runs: 8 },
  );

for (const name of 'ReduceSum ReduceMean ReduceMax ReduceMin ReduceL1 ReduceL2 ReduceSumSquare ReduceLogSumExp'.split(
  ' ',
)) {
  reduction(name);
}
reduction('ReduceLogSum', 0.2);

for (const name of ['Softmax', 'LogSoftmax']) {
  gradients(t, name, (net) => {
    const dims = net.ints(net.int(1, 4), 1, 4);
    return net.op(name, [net.x(dims)], { axis: net.int(-dims.length, dims.length - 1) });
  });
}

const normalized = (net: Trial, training: boolean) => {
  const channels = net.int(1, 4);
  // Enough of them that their variance is no accident.
  const dims = [net.int(2, 3), channels, ...net.ints(net.int(0, 2), 2, 3)];
  const x = net.x(dims);
  const [scale, bias] = [net.x([channels]), net.x([channels])];
  const [mean, variance] = [net.x([channels]), net.x([channels], { low: 0.4, high: 2 })];
  const inputs = [x, scale, bias, mean, variance];
  const epsilon = { f: net.pick(1e-5, 1e-3) };
  return training
    ? net.ops('BatchNormalization', inputs, 3, { epsilon, training_mode: 1 }).slice(0, 1)
    : net.op('BatchNormalization', inputs, { epsilon });
};
gradients(t, 'BatchNormalization with given statistics', (net) => normalized(net, false));
gradients(t, "BatchNormalization with the batch's statistics", (net) => normalized(net, true), {
  of: ['x0', 'x1', 'x2'],
});
