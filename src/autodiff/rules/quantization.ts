// Gradient rules of QuantizeLinear and DequantizeLinear: straight through where a value is inside the grid.
import { type DataType, sizeOf, type Value } from '../../onnx/index.js';
import { axisFrom } from '../ops.js';
import type { Rules, Step } from '../step.js';

const RANGES: Partial<Record<DataType, readonly [number, number]>> = {
  int8: [-128, 127],
  uint8: [0, 255],
  int16: [-32768, 32767],
  uint16: [0, 65535],
  int4: [-8, 7],
  uint4: [0, 15],
  int2: [-2, 1],
  uint2: [0, 3],
};

/** Scale or zero point, one a tensor or one along the axis, in the shape that meets the input. */
const meeting = (s: Step, value: Value): Value => {
  const dims = s.dims();
  if (sizeOf(value.shape?.filter((dim) => typeof dim === 'number') ?? []) === 1)
    return s.ops.reshape(value, []);
  if (value.shape?.length !== 1) throw s.refuse('only scales for a tensor or along one axis have one');
  const axis = axisFrom(s.node.int('axis', 1), dims.length);
  return s.ops.reshape(
    value,
    dims.map((dim, i) => (i === axis ? dim : 1)),
  );
};

const zeroOf = (s: Step): Value | undefined =>
  s.has(2) ? meeting(s, s.ops.cast(s.x(2), 'float32')) : undefined;

export const QUANTIZATION: Rules = {
  /** To the scale goes -x / scale^2 inside the grid: with DequantizeLinear's share it is that of a learned step size. */
  QuantizeLinear: (s) => {
    const { ops } = s;
    const [lowest, highest] = RANGES[s.node.output()?.type ?? 'uint8'] ?? [];
    if (lowest === undefined || highest === undefined) throw s.refuse('only integer grids have one');
    const scale = meeting(s, s.x(1));
    const zero = zeroOf(s);
    const end = (code: number): Value =>
      ops.mul(zero === undefined ? ops.scalar(code) : ops.sub(code, zero), scale);
    const x = s.x();
    const inside = ops.and(
      ops.compare('GreaterOrEqual', x, end(lowest)),
      ops.compare('LessOrEqual', x, end(highest)),
    );
    const share = ops.div(ops.only(s.g, inside), scale);
    return [share, fitTo(s, ops.neg(ops.div(ops.mul(share, x), scale)), scale)];
  },
  DequantizeLinear: (s) => {
    const { ops } = s;
    const scale = meeting(s, s.x(1));
    const zero = zeroOf(s);
    const codes = ops.cast(s.x(), 'float32');
    const offset = zero === undefined ? codes : ops.sub(codes, zero);
    return [ops.mul(s.g, scale), fitTo(s, ops.mul(s.g, offset), scale)];
  },
};

/** Summed to the shape that met the input, then put into the shape that the scale has. */
const fitTo = (s: Step, gradient: Value, met: Value): Value =>
  s.ops.reshape(s.ops.fit(gradient, met.shape?.filter((dim) => typeof dim === 'number') ?? []), s.dims(1));
