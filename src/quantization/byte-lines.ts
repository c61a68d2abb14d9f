// A first convolution whose windows lie side by side: along a line of bytes, pixel by pixel, a window's part is one piece of memory.
import { type Graph, ints, intsTensor, type Node, tensorOf, type Value } from '../onnx/index.js';
import { SHORT } from './joined.js';
import { onlyUser, outputOf } from './regions.js';

interface Stem {
  readonly conv: Node;
  readonly weight: Value;
  readonly dims: readonly [channels: number, planes: number, rows: number, columns: number];
  readonly codes: Int8Array;
  /** Along a column. */
  readonly stride: number;
  readonly dilation: number;
  readonly top: number;
  readonly bottom: number;
}

/** The convolution that takes the picture's codes, where its windows neither meet nor leave anything out along a line. */
const stemOf = (codes: Value, width: number): Stem | undefined => {
  const dequantizer = onlyUser(codes);
  const conv = onlyUser(dequantizer?.output());
  if (dequantizer?.is('DequantizeLinear') !== true || conv?.is('Conv') !== true) return undefined;
  const packer = conv.input(1)?.producer;
  const weight = packer?.input(0);
  if (packer?.is('DequantizeLinear') !== true || weight === undefined) return undefined;
  const { constant } = weight;
  if (constant?.kind !== 'dense' || constant.type !== 'int8' || constant.dims.length !== 4) return undefined;
  if (weight.users.length > 1 || outputOf(packer).users.length > 1) return undefined;
  // Of channels of their own where there is an axis at all: input channels change their places.
  if (packer.int('axis', 1) !== 0 && packer.input(1)?.constant?.dims.length !== 0) return undefined;
  const [channels = 0, planes = 0, rows = 0, columns = 0] = constant.dims;
  const [stride = 1, step = 1] = conv.ints('strides') ?? [];
  const [top = 0, left = 0, bottom = 0, right = 0] = conv.ints('pads') ?? [];
  const [dilation = 1, spread = 1] = conv.ints('dilations') ?? [];
  const isSideBySide =
    columns > 1 &&
    step === columns &&
    spread === 1 &&
    left === 0 &&
    right === 0 &&
    width % columns === 0 &&
    conv.int('group', 1) === 1 &&
    conv.text('auto_pad', 'NOTSET') === 'NOTSET';
  return isSideBySide
    ? {
        conv,
        weight,
        dims: [channels, planes, rows, columns],
        codes: constant.data,
        stride,
        dilation,
        top,
        bottom,
      }
    : undefined;
};

/**
 * Makes a convolution [O, C, KH, KW] of stride KW on bytes [1, H, W, C] one of [O, KW C, KH, 1] on [1, H, W / KW, KW C], in place: the same
 * bytes in the same order, and the same products. Kernels that gather windows pixel by pixel gather a line of them at once. Any
 * other convolution is left alone.
 *
 * @param transposition of the picture [1, H, W, C] to planes
 */
export const foldLines = (graph: Graph, transposition: Node): void => {
  const picture = transposition.input(0);
  const [, height = 0, width = 0] = picture?.shape?.map(Number) ?? [];
  const stem = stemOf(outputOf(transposition), width);
  if (picture === undefined || stem === undefined) return;
  const { conv, weight, codes, stride, dilation, top, bottom } = stem;
  const [channels, planes, rows, columns] = stem.dims;
  const sides = [1, height, width / columns, columns * planes];
  const folded = outputOf(
    graph.addNode(
      {
        opType: 'Reshape',
        inputs: [picture, graph.addInitializer(SHORT, intsTensor(sides))],
        outputs: [graph.uniqueName(SHORT)],
      },
      { before: transposition },
    ),
  );
  folded.type = picture.type;
  folded.shape = sides;
  transposition.setInput(0, folded);
  outputOf(transposition).shape = [1, columns * planes, height, width / columns];
  const moved = new Int8Array(codes.length);
  codes.forEach((code, at) => {
    const column = at % columns;
    const row = Math.floor(at / columns) % rows;
    const plane = Math.floor(at / (columns * rows)) % planes;
    const channel = Math.floor(at / (columns * rows * planes));
    moved[((channel * columns + column) * planes + plane) * rows + row] = code;
  });
  graph.setTensor(weight, tensorOf('int8', [channels, columns * planes, rows, 1], moved));
  conv.setAttribute('kernel_shape', ints([rows, 1]));
  conv.setAttribute('strides', ints([stride, 1]));
  conv.setAttribute('dilations', ints([dilation, 1]));
  conv.setAttribute('pads', ints([top, 0, bottom, 0]));
};
