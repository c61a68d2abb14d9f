// Fake quantization of activations: unsigned 8-bit grids where the packed model has codes, their step sizes learned or not.
import { dimsOf, type Ops } from '../../autodiff/index.js';
import { type Model, sizeOf, tensorOf, type Value } from '../../onnx/index.js';
import {
  activationGrids,
  type Allocation,
  type ChannelGrid,
  dataInputs,
  findRegions,
  isMover,
  type Range,
  type Regions,
} from '../../quantization/index.js';
import type { FakeActivations, Parameter } from '../types.js';

export interface ActivationQuantization {
  /** Which components run in int8. */
  readonly allocation: Allocation;
  /** What was measured: of all that `rangesNeeded` names. */
  readonly ranges: ReadonlyMap<string, Range>;
  /** Components whose SiLU or LeakyRelu is computed in FP32 (default none). */
  readonly floatFunctions?: ReadonlySet<string>;
  /** Whether step sizes are learned (LSQ; default true). Zero points stay. */
  readonly learned?: boolean;
  /** Values whose step size is not learned all the same, nor that of what shares their grid (default none). */
  readonly fixed?: ReadonlySet<string>;
}

/** See `place.ts`: a step size stays positive. */
const LEAST_PART = 2 ** -7;

const HIGHEST = 255;

/** Codes and back, for those that take codes in the packed model: everybody, or integer nodes only. */
const place = (
  ops: Ops,
  value: Value,
  parameters: readonly [Value, Value],
  { int8, absorbed }: Regions,
): void => {
  const maker = value.producer;
  const isMade = maker !== undefined && (int8.has(maker) || absorbed.has(maker));
  const floats = value.users.filter((user) => !int8.has(user) || !dataInputs(user).includes(value));
  const dims = dimsOf(value);
  ops.scope = `${value.name}/fake`;
  const codes = ops.op('QuantizeLinear', [value, ...parameters], dims, {}, 'uint8');
  const back = ops.op('DequantizeLinear', [codes, ...parameters], dims, {}, 'float32');
  const quantizer = codes.producer;
  const except = [...(isMade ? [] : floats), ...(quantizer === undefined ? [] : [quantizer])];
  if (isMade) {
    value.graph.replaceUses(value, back, except);
    return;
  }
  const kept = new Set(except);
  for (const user of value.users) {
    if (kept.has(user)) continue;
    user.inputs.forEach((input, index) => {
      if (input === value) user.setInput(index, back);
    });
  }
};

/** What a value's codes move on as: movers give codes of the same grid. */
const isMoved = (value: Value, { int8 }: Regions): boolean => {
  const maker = value.producer;
  return maker !== undefined && int8.has(maker) && isMover(maker);
};

/**
 * Puts fake quantization where the packed model has codes, in place. Before weights are fake-quantized: components are known by
 * their constant weights.
 */
export const addFakeActivations = (
  model: Model,
  ops: Ops,
  { allocation, ranges, floatFunctions, learned = true, fixed }: ActivationQuantization,
  batch: number,
): { readonly parameters: readonly Parameter[]; readonly activations: readonly FakeActivations[] } => {
  const regions = findRegions(model, allocation, floatFunctions);
  const groups = new Map<ChannelGrid, Value[]>();
  for (const [value, grid] of activationGrids(regions, ranges)) {
    const members = groups.get(grid);
    if (members === undefined) groups.set(grid, [value]);
    else members.push(value);
  }
  const parameters: Parameter[] = [];
  const activations: FakeActivations[] = [];
  for (const [grid, values] of groups) {
    const [first] = values;
    if (first === undefined) continue;
    const start = Float32Array.of(grid.scale);
    const scale = model.graph.addInitializer(
      `${first.name}/activation-step-size`,
      tensorOf('float32', [], start),
    );
    const zero = model.graph.addInitializer(
      `${first.name}/zero-point`,
      tensorOf('uint8', [], Uint8Array.of(grid.zeroPoint)),
    );
    // Names before they move: an output's name goes to whatever takes its place.
    activations.push({ grid, values: values.map(({ name }) => name), stepSize: scale.name });
    const features = sizeOf(dimsOf(first)) / batch;
    if (learned && !values.some(({ name }) => fixed?.has(name) === true)) {
      parameters.push({
        name: scale.name,
        kind: 'step-size',
        dims: [],
        value: start,
        gradientFactors: Float32Array.of(1 / Math.sqrt(features * HIGHEST)),
        least: Float32Array.of(grid.scale * LEAST_PART),
      });
    }
    for (const value of values) if (!isMoved(value, regions)) place(ops, value, [scale, zero], regions);
  }
  return { parameters, activations };
};

/** The grids that activations have after training, by the name of the value, as `quantizeModel` takes them. */
export const trainedGrids = (
  activations: readonly FakeActivations[],
  learned: ReadonlyMap<string, Float32Array>,
): Map<string, ChannelGrid> =>
  new Map(
    activations.flatMap(({ grid, values, stepSize }) => {
      const trained = { ...grid, scale: learned.get(stepSize)?.[0] ?? grid.scale };
      return values.map((name): [string, ChannelGrid] => [name, trained]);
    }),
  );
