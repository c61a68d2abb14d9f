// Dynamic quantization: grids of activations are made from the extremes of each input while the model runs; no calibration data.
import { BitlaneError } from '../errors.js';
import { int, type Model, type Node, tensorOf, type Value } from '../onnx/index.js';
import { allocationOf, channelBits } from './allocation.js';
import { type Component, constantFloats } from './components.js';
import { SHORT } from './joined.js';
import { addBareCodes, addFloatWeights, type PackingPlace } from './packing.js';
import { type HeldCodes, packCodes } from './parts.js';
import { outputOf } from './regions.js';
import type { RewriteOptions } from './rewriter.js';

/** A value in 8 bits, as its own extremes say. */
interface DynamicCodes {
  readonly codes: Value;
  readonly scale: Value;
  readonly zeroPoint: Value;
}

/** Dimensions in which one number a channel meets what the layer gives. */
const besideOutput = ({ kind, kernel, outputChannels }: Component): number[] =>
  kind === 'Conv' ? [1, outputChannels, ...kernel.map(() => 1)] : [outputChannels];

/** Rewrites the model that it is given, in place; returns what stands for the result of each component. */
export const rewriteDynamic = (
  { graph }: Model,
  components: ReadonlyMap<Node, Component>,
  { allocation, weights, unpacked }: RewriteOptions,
): Map<Node, Value> => {
  const held: HeldCodes[] = [];
  const known = new Map<Value, DynamicCodes>();
  const results = new Map<Node, Value>();

  const codesOf = (value: Value, before: Node): DynamicCodes => {
    const made = known.get(value);
    if (made !== undefined) return made;
    const maker = value.producer;
    const node = graph.addNode(
      {
        opType: 'DynamicQuantizeLinear',
        name: SHORT,
        inputs: [value],
        outputs: [0, 1, 2].map(() => graph.uniqueName(SHORT)),
      },
      maker === undefined ? { before } : { after: maker },
    );
    const [codes, scale, zeroPoint] = [outputOf(node), node.output(1), node.output(2)];
    if (scale === undefined || zeroPoint === undefined) {
      throw new BitlaneError('INTERNAL', `${node.label} has three outputs`);
    }
    codes.type = 'uint8';
    codes.shape = value.shape;
    const result = { codes, scale, zeroPoint };
    known.set(value, result);
    return result;
  };

  const integer = (place: PackingPlace, input: Value): Value => {
    const { node, component } = place;
    const bias = constantFloats(node.input(2))?.data;
    const { codes, scale, zeroPoint } = codesOf(input, node);
    const { codes: rows, scales } = addBareCodes(place);
    const add = (opType: string, inputs: readonly Value[], attributes = {}): Value =>
      outputOf(graph.addNode({ opType, name: SHORT, inputs: [...inputs], attributes }, { before: node }));
    const constant = (values: Float32Array): Value =>
      graph.addInitializer(SHORT, tensorOf('float32', besideOutput(component), values));
    const turned = component.kind === 'Gemm' && component.axis === 0 ? add('Transpose', [rows]) : rows;
    const sums =
      component.kind === 'Conv'
        ? add('ConvInteger', [codes, turned, zeroPoint], Object.fromEntries(node.attributes))
        : add('MatMulInteger', [codes, turned, zeroPoint]);
    const floats = add('Mul', [add('Cast', [sums], { to: int(1) }), add('Mul', [scale, constant(scales)])]);
    return bias === undefined ? floats : add('Add', [floats, constant(bias)]);
  };

  for (const [node, component] of components) {
    const entry = allocationOf(allocation, component);
    const bits = channelBits(component, entry);
    const place = { graph, node, component, bits, weights: weights.get(component.name), held };
    const [input, output] = [node.input(0), outputOf(node)];
    results.set(node, output);
    if (entry.execution === 'fp32') {
      if (bits.some((width) => width !== 32)) node.setInput(1, addFloatWeights(place));
    } else if (input !== undefined) {
      const result = integer(place, input);
      result.type = 'float32';
      result.shape = output.shape;
      graph.replaceNode(node, [result]);
      results.set(node, result);
    }
  }
  if (unpacked !== true) packCodes(graph, held);
  return results;
};
