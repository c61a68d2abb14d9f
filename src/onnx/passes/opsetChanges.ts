// What changed in ONNX's operators from opset 11 to 26, as far as a model must be changed with them.
import { int, text } from '../graph/attribute.js';
import type { Graph } from '../graph/graph.js';
import type { Node } from '../graph/node.js';
import { intsTensor, tensorOf } from '../tensor.js';

/** Rewrites a node from the version before to this one; returns why it cannot, or nothing. */
export type Change = (node: Node, graph: Graph) => string | undefined;

/** Moves an integer list from an attribute to an input. */
const toInput =
  (name: string, index: number): Change =>
  (node, graph) => {
    const values = node.ints(name);
    node.setAttribute(name, undefined);
    if (values === undefined) return undefined;
    const base = node.output()?.name ?? node.opType;
    node.setInput(index, graph.addInitializer(`${base}.${name}`, intsTensor(values)));
    return undefined;
  };

/**
 * Before 13 Softmax flattened to two dimensions at its axis (default 1). The two are the same where that axis is the
 * last; otherwise the value is reshaped around it.
 */
const softmax: Change = (node, graph) => {
  const axis = node.int('axis', 1);
  const [input, output] = [node.input(0), node.output()];
  const rank = input?.shape?.length;
  if (input === undefined || output === undefined) return 'it has no input';
  if (axis === -1 || (rank !== undefined && (axis === rank - 1 || (axis === 1 && rank === 1)))) {
    node.setAttribute('axis', int(-1));
    return undefined;
  }
  const at = rank !== undefined && axis < 0 ? axis + rank : axis;
  if (at < 0) return 'the rank of its input is not known';
  // Flatten, softmax over all that is behind the axis, and back into the input's shape.
  const base = output.name;
  const flat = graph.addNode(
    { opType: 'Flatten', name: `${base}.flat`, inputs: [input], attributes: { axis: int(at) } },
    { before: node },
  );
  const shape = graph.addNode({ opType: 'Shape', name: `${base}.shape`, inputs: [input] }, { before: node });
  node.setInput(0, flat.output());
  node.setAttribute('axis', int(-1));
  const back = graph.addNode(
    { opType: 'Reshape', name: `${base}.back`, inputs: [output, shape.output()] },
    { after: node },
  );
  const restored = back.output();
  if (restored !== undefined) {
    restored.type = output.type;
    restored.shape = output.shape;
    graph.replaceUses(output, restored, [back]);
  }
  output.shape = undefined;
  return undefined;
};

/** At 12 the ratio became an input; what is trained with it is of no use here. */
const dropout: Change = (node, graph) => {
  const ratio = node.attributes.has('ratio') ? node.float('ratio', 0.5) : undefined;
  node.setAttribute('ratio', undefined);
  if (ratio !== undefined) {
    const base = node.output()?.name ?? 'dropout';
    node.setInput(1, graph.addInitializer(`${base}.ratio`, tensorOf('float32', [], Float32Array.of(ratio))));
  }
  return undefined;
};

const batchNormalization: Change = (node) =>
  node.outputs.slice(1).some((value) => value !== undefined) ? 'it trains its statistics' : undefined;

/** At 18 the number of equal parts must be said where no sizes are. */
const split: Change = (node) => {
  if (node.input(1) === undefined) node.setAttribute('num_outputs', int(node.outputs.length));
  return undefined;
};

const resize: Change = (node) =>
  node.text('coordinate_transformation_mode', 'half_pixel') === 'tf_half_pixel_for_nn'
    ? 'its coordinate mode tf_half_pixel_for_nn is gone'
    : undefined;

/** The default became half_pixel at 16: the older behaviour must be said. */
const roiAlign: Change = (node) => {
  node.setAttribute('coordinate_transformation_mode', text('output_half_pixel'));
  return undefined;
};

const gridSample: Change = (node) => {
  const mode = node.text('mode', 'bilinear');
  const names: Readonly<Record<string, string>> = { bilinear: 'linear', bicubic: 'cubic' };
  node.setAttribute('mode', text(names[mode] ?? mode));
  return undefined;
};

/** The epsilon default and the shapes of scale and bias changed with the group. */
const groupNormalization: Change = () =>
  'its scale and bias are per group before opset 21 and per channel since';

/** onnxruntime has no kernel for it from 22 on. */
const missing: Change = () => 'onnxruntime does not run it from opset 22 on';

/** Hardmax has no flattening twin that is worth having: only the plain case. */
const hardmax: Change = (node) => {
  const rank = node.input(0)?.shape?.length;
  const axis = node.int('axis', 1);
  if (rank === undefined || (axis !== -1 && axis !== rank - 1)) return 'its axis is not the last one';
  node.setAttribute('axis', int(-1));
  return undefined;
};

const axesToInput = toInput('axes', 1);
const at18 = { 18: axesToInput } as const;

/** By operator, by the version that changed it. Versions that only widened its types or options are not listed. */
export const CHANGES: Readonly<Record<string, Readonly<Record<number, Change>>>> = {
  BatchNormalization: { 14: batchNormalization },
  Dropout: { 12: dropout },
  GlobalLpPool: { 22: missing },
  GridSample: { 20: gridSample },
  GroupNormalization: { 21: groupNormalization },
  Hardmax: { 13: hardmax },
  LogSoftmax: { 13: softmax },
  ReduceL1: at18,
  ReduceL2: at18,
  ReduceLogSum: at18,
  ReduceLogSumExp: at18,
  ReduceMax: at18,
  ReduceMean: at18,
  ReduceMin: at18,
  ReduceProd: at18,
  ReduceSum: { 13: axesToInput },
  ReduceSumSquare: at18,
  Resize: { 13: resize },
  RoiAlign: { 16: roiAlign, 22: missing },
  Softmax: { 13: softmax },
  Split: { 13: toInput('split', 1), 18: split },
  Squeeze: { 13: axesToInput },
  Unsqueeze: { 13: axesToInput },
};

/** Operators that mean the same in every opset from 11 (or their first) to 26. */
export const UNCHANGED: ReadonlySet<string> = new Set(
  (
    'Abs Acos Acosh Add And ArgMax ArgMin Asin Asinh Atan Atanh AveragePool BitShift BitwiseAnd BitwiseNot BitwiseOr ' +
    'BitwiseXor Cast CastLike Ceil Celu Clip Compress Concat Constant ConstantOfShape Conv ConvInteger ConvTranspose Cos ' +
    'Cosh CumSum DepthToSpace DequantizeLinear Det Div DynamicQuantizeLinear Einsum Elu Equal Erf Exp Expand EyeLike ' +
    'Flatten Floor Gather GatherElements GatherND Gelu Gemm GlobalAveragePool GlobalMaxPool Greater ' +
    'GreaterOrEqual HardSigmoid HardSwish Identity If InstanceNormalization IsInf IsNaN LayerNormalization LeakyRelu Less ' +
    'LessOrEqual Log Loop LpNormalization LpPool LRN MatMul MatMulInteger Max MaxPool Mean MeanVarianceNormalization Min ' +
    'Mish Mod Mul Neg NonMaxSuppression NonZero Not OneHot Or Pad Pow PRelu QLinearConv QLinearMatMul QuantizeLinear Range ' +
    'Reciprocal Relu Reshape ReverseSequence Round ScatterElements ScatterND Selu Shape Shrink Sigmoid Sign Sin Sinh Size ' +
    'Slice Softplus Softsign SpaceToDepth Sqrt Sub Sum Tan Tanh ThresholdedRelu Tile TopK Transpose Trilu Unique ' +
    'Where Xor'
  ).split(' '),
);
