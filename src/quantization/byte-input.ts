// Pictures as bytes: a packed model that would first of all make codes of a picture takes its pixels for codes instead.
import {
  type Graph,
  ints,
  isStatic,
  type Model,
  type Node,
  removeUnusedInitializers,
  runPasses,
} from '../onnx/index.js';
import type { InputSpec } from '../registry/index.js';
import { inputValue } from '../vision/index.js';
import { foldLines } from './byte-lines.js';
import type { Range } from './calibration.js';
import { constantFloats } from './components.js';
import { SHORT } from './joined.js';
import { dataInputs, isMover, onlyUser, outputOf } from './regions.js';

const HIGHEST_PIXEL = 255;

/** What a pixel is multiplied by to become a float, where that is all that is done to it, and the same in all channels. */
const pixelScale = ({ mean, scale: [first, ...others] }: InputSpec): number | undefined =>
  first > 0 && mean.every((value) => value === 0) && others.every((value) => value === first)
    ? first
    : undefined;

/**
 * The range of a model's picture, by its name, where it is that of pixels: black to white, whatever the calibration pictures hold. Its
 * grid has a code for every pixel and no other. Empty where channels are shifted, or scaled one by one.
 *
 * @param model adds the values that hold the picture's pixels in another order, for whoever measures nothing
 */
export const pixelRanges = (input: InputSpec, model?: Model): Map<string, Range> => {
  const ranges = new Map<string, Range>();
  const scale = pixelScale(input);
  if (scale === undefined) return ranges;
  const range = { min: 0, max: HIGHEST_PIXEL * scale };
  ranges.set(input.name, range);
  for (const node of model?.graph.nodes() ?? []) {
    const moves = isMover(node) || node.is('Concat');
    if (!moves || !dataInputs(node).every(({ name }) => ranges.has(name))) continue;
    for (const output of node.outputs) if (output !== undefined) ranges.set(output.name, range);
  }
  return ranges;
};

/** The only taker of the picture, where it makes codes of pixels that are the pixels. */
const quantizerOf = (graph: Graph, input: InputSpec): Node | undefined => {
  const scale = pixelScale(input);
  const [picture, ...others] = graph.inputs;
  if (scale === undefined || input.format !== undefined || picture === undefined || others.length > 0)
    return undefined;
  const { name, type, dims } = inputValue(input);
  const isPicture =
    picture.name === name &&
    picture.type === type &&
    picture.shape !== undefined &&
    isStatic(picture.shape) &&
    picture.shape.join() === dims.join();
  const taker = onlyUser(picture);
  if (!isPicture || taker?.is('QuantizeLinear') !== true || outputOf(taker).isOutput) return undefined;
  const [step, zero] = [constantFloats(taker.input(1)), taker.input(2)?.constant];
  const isOnPixels =
    step?.data.length === 1 &&
    step.data[0] === Math.fround(scale) &&
    zero?.kind === 'dense' &&
    zero.type === 'uint8' &&
    zero.data.length === 1 &&
    zero.data[0] === 0;
  return isOnPixels ? taker : undefined;
};

/**
 * Makes a packed model take bytes [1, height, width, 3], in place, where its picture is quantized first of all and code p stands for
 * pixel p; any other is left alone. The transposition that comes instead meets the one that onnxruntime puts before its integer
 * convolutions, and both are gone. A first convolution whose windows lie side by side takes them line by line ({@link foldLines}).
 *
 * @param input of the model as it is
 * @returns what its input is now
 */
export const takeBytes = (model: Model, input: InputSpec): InputSpec => {
  const { graph } = model;
  const quantizer = quantizerOf(graph, input);
  const [picture] = graph.inputs;
  if (quantizer === undefined || picture === undefined) return input;
  const bytes: InputSpec = { ...input, format: 'bytes' };
  const codes = outputOf(quantizer);
  const transposition = graph.addNode(
    {
      opType: 'Transpose',
      inputs: [picture],
      outputs: [graph.uniqueName(SHORT)],
      attributes: { perm: ints([0, 3, 1, 2]) },
    },
    { before: quantizer },
  );
  const transposed = outputOf(transposition);
  transposed.type = 'uint8';
  transposed.shape = picture.shape;
  graph.replaceUses(codes, transposed);
  graph.removeNode(quantizer);
  const { type, dims } = inputValue(bytes);
  picture.type = type;
  picture.shape = [...dims];
  foldLines(graph, transposition);
  runPasses(model, [removeUnusedInitializers]);
  return bytes;
};

/**
 * What the input of a model is that was packed from one with `input`: bytes where {@link takeBytes} has been at it.
 *
 * @param inputs of its graph or its session
 */
export const packedInput = (
  inputs: readonly { readonly name: string; readonly type?: string | undefined }[],
  input: InputSpec,
): InputSpec =>
  inputs.some(({ name, type }) => name === input.name && type === 'uint8')
    ? { ...input, format: 'bytes' }
    : input;
