// Small real detectors for tests: each emits the boxes it was made with, so that an answer tells which model gave it.
import { createHash } from 'node:crypto';
import {
  type DetectorSpec,
  detectorSpecSchema,
  type HeadSpec,
  type Manifest,
  manifestSchema,
} from '../../src/registry/index.js';
import {
  type Element,
  floats,
  type GraphNode,
  type GraphValue,
  int32Scalar,
  ints,
  type TensorValue,
  writeOnnx,
} from './onnxWriter.js';

/** A box that the model always emits, in pixels of its input. */
export interface TinyBox {
  readonly x1: number;
  readonly y1: number;
  readonly x2: number;
  readonly y2: number;
  readonly classId: number;
  readonly score: number;
}

export interface TinyOptions {
  readonly head: HeadSpec['type'];
  readonly classes: readonly string[];
  /** Input side, or width and height; multiples of 32 for heads with a grid (default 64). */
  readonly size?: number | { readonly width: number; readonly height: number };
  /** Boxes that the model emits for every picture (default none). */
  readonly boxes?: readonly TinyBox[];
  /** Rows of the output, for `yolov8` and `end-to-end` (default: one for each cell of strides 8, 16, 32; 100). */
  readonly anchors?: number;
  /** Variants of a head. */
  readonly yoloxBoxes?: 'raw' | 'decoded';
  readonly yolov8Layout?: 'channels-first' | 'channels-last';
  readonly gflLayout?: 'split' | 'joined' | 'joined-per-stride';
  readonly gflScores?: 'sigmoid-applied' | 'logits';
  readonly regMax?: number;
  /** Classes that the outputs really hold, where that differs from `classes`. */
  readonly outputClasses?: number;
  /** Every output value is NaN. */
  readonly nan?: boolean;
  /** 3x3 convolutions of 32 channels in front, each about 0.1 ms at 64 px and 4 ms at 416 px. */
  readonly delayLayers?: number;
  /** The process dies (integer overflow in a division; x86 only) when the mean of the input is above this. */
  readonly crashAbove?: number;
  /** A run fails (integer division by zero) when the mean of the input is above this. */
  readonly failAbove?: number;
  /** Memory that the graph asks for when it runs. */
  readonly hungryBytes?: number;
  /** Bytes of weights that make the file large. */
  readonly padBytes?: number;
  /** Makes the bytes, and so the id, differ from a model that is otherwise the same. */
  readonly marker?: number;
  readonly name?: string;
  readonly inputName?: string;
  readonly inputType?: Extract<Element, 'float32' | 'float16' | 'uint8'>;
  /** Input shape, where it is not [1, 3, height, width], or [1, height, width, 3] of bytes. */
  readonly inputShape?: readonly (number | string)[];
  readonly extraInput?: boolean;
  readonly externalWeights?: string;
  readonly opset?: number;
}

export interface TinyDetector {
  /** `model.onnx`. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** SHA-256 of the bytes. */
  readonly id: string;
  readonly detector: DetectorSpec;
  readonly manifest: Manifest;
  readonly boxes: readonly TinyBox[];
}

const STRIDES = [8, 16, 32] as const;

interface Output {
  readonly name: string;
  readonly dims: readonly number[];
  readonly values: Float32Array;
}

interface Shape {
  readonly width: number;
  readonly height: number;
  readonly classes: number;
}

const gridOf = (shape: Shape, stride: number) => ({
  columns: Math.ceil(shape.width / stride),
  rows: Math.ceil(shape.height / stride),
});
const cellsOf = (shape: Shape): number =>
  STRIDES.reduce((sum, stride) => sum + gridOf(shape, stride).columns * gridOf(shape, stride).rows, 0);

const yoloxOutput = (options: TinyOptions, shape: Shape, boxes: readonly TinyBox[]): Output[] => {
  const [anchors, width] = [cellsOf(shape), 5 + shape.classes];
  const values = new Float32Array(anchors * width);
  const { columns } = gridOf(shape, STRIDES[0]);
  boxes.forEach((box, cell) => {
    const [cx, cy, w, h] = [(box.x1 + box.x2) / 2, (box.y1 + box.y2) / 2, box.x2 - box.x1, box.y2 - box.y1];
    values.set(
      options.yoloxBoxes === 'decoded'
        ? [cx, cy, w, h]
        : [cx / 8 - (cell % columns), cy / 8 - Math.floor(cell / columns), Math.log(w / 8), Math.log(h / 8)],
      cell * width,
    );
    values[cell * width + 4] = box.score;
    values[cell * width + 5 + box.classId] = 1;
  });
  return [{ name: 'output', dims: [1, anchors, width], values }];
};

const yolov8Output = (options: TinyOptions, shape: Shape, boxes: readonly TinyBox[]): Output[] => {
  const [anchors, width] = [options.anchors ?? cellsOf(shape), 4 + shape.classes];
  const last = options.yolov8Layout === 'channels-last';
  const values = new Float32Array(anchors * width);
  boxes.forEach((box, anchor) => {
    const set = (channel: number, value: number): void => {
      values[last ? anchor * width + channel : channel * anchors + anchor] = value;
    };
    set(0, (box.x1 + box.x2) / 2);
    set(1, (box.y1 + box.y2) / 2);
    set(2, box.x2 - box.x1);
    set(3, box.y2 - box.y1);
    set(4 + box.classId, box.score);
  });
  return [{ name: 'output', dims: last ? [1, anchors, width] : [1, width, anchors], values }];
};

const endToEndOutput = (options: TinyOptions, boxes: readonly TinyBox[]): Output[] => {
  const rows = options.anchors ?? 100;
  const values = new Float32Array(rows * 6);
  boxes.forEach((box, row) => values.set([box.x1, box.y1, box.x2, box.y2, box.score, box.classId], row * 6));
  return [{ name: 'output', dims: [1, rows, 6], values }];
};

/** Logits whose softmax has its mean at `distance`. */
const distribution = (distance: number, regMax: number): number[] => {
  const [low, share] = [Math.floor(distance), distance - Math.floor(distance)];
  return Array.from({ length: regMax + 1 }, (_, bin) =>
    bin === low ? Math.log(1 - share) : bin === low + 1 && share > 0 ? Math.log(share) : -60,
  ).map((value) => Math.max(value, -60));
};

const gflOutput = (options: TinyOptions, shape: Shape, boxes: readonly TinyBox[]): Output[] => {
  const regMax = options.regMax ?? 7;
  const width = 4 * (regMax + 1);
  const logits = options.gflScores === 'logits';
  const taken = new Set<string>();
  const levels = STRIDES.map((stride) => {
    const { columns, rows } = gridOf(shape, stride);
    const cells = columns * rows;
    return {
      stride,
      columns,
      rows,
      cells,
      scores: new Float32Array(cells * shape.classes).fill(logits ? -20 : 0),
      distances: new Float32Array(cells * width),
    };
  });
  for (const box of boxes) {
    // Any cell whose centre lies inside the box, near enough to every side, can stand for it.
    const place = levels
      .flatMap((level) =>
        Array.from({ length: level.cells }, (_, cell) => {
          const x = ((cell % level.columns) + 0.5) * level.stride;
          const y = (Math.floor(cell / level.columns) + 0.5) * level.stride;
          const sides = [x - box.x1, y - box.y1, box.x2 - x, box.y2 - y].map((side) => side / level.stride);
          return { level, cell, sides };
        }),
      )
      .find(
        ({ level, cell, sides }) =>
          !taken.has(`${level.stride}:${cell}`) && sides.every((side) => side >= 0 && side <= regMax),
      );
    if (place === undefined) throw new Error('no cell of the gfl head can stand for this box');
    const { level, cell, sides } = place;
    taken.add(`${level.stride}:${cell}`);
    level.scores[cell * shape.classes + box.classId] = logits
      ? Math.log(box.score / (1 - box.score))
      : box.score;
    level.distances.set(
      sides.flatMap((side) => distribution(side, regMax)),
      cell * width,
    );
  }
  if (options.gflLayout === 'split') {
    return [
      ...levels.map((level) => ({
        name: `cls_${level.stride}`,
        dims: [1, level.cells, shape.classes],
        values: level.scores,
      })),
      ...levels.map((level) => ({
        name: `dis_${level.stride}`,
        dims: [1, level.cells, width],
        values: level.distances,
      })),
    ];
  }
  const joined = levels.map((level) => {
    const row = shape.classes + width;
    const values = new Float32Array(level.cells * row);
    for (let cell = 0; cell < level.cells; cell++) {
      values.set(level.scores.subarray(cell * shape.classes, (cell + 1) * shape.classes), cell * row);
      values.set(level.distances.subarray(cell * width, (cell + 1) * width), cell * row + shape.classes);
    }
    return { name: `output_${level.stride}`, dims: [1, level.cells, row], values };
  });
  if (options.gflLayout === 'joined-per-stride') return joined;
  return [
    {
      name: 'output',
      dims: [1, cellsOf(shape), shape.classes + width],
      values: Float32Array.from(joined.flatMap((level) => [...level.values])),
    },
  ];
};

const outputsOf = (options: TinyOptions, shape: Shape, boxes: readonly TinyBox[]): Output[] => {
  switch (options.head) {
    case 'yolox':
      return yoloxOutput(options, shape, boxes);
    case 'yolov8':
      return yolov8Output(options, shape, boxes);
    case 'end-to-end':
      return endToEndOutput(options, boxes);
    case 'gfl':
      return gflOutput(options, shape, boxes);
  }
};

const headOf = (options: TinyOptions, outputs: readonly Output[]): Record<string, unknown> => {
  const output = outputs[0]?.name ?? '';
  switch (options.head) {
    case 'yolox':
      return { type: 'yolox', output, boxes: options.yoloxBoxes ?? 'raw' };
    case 'yolov8':
      return { type: 'yolov8', output, layout: options.yolov8Layout ?? 'channels-first' };
    case 'end-to-end':
      return { type: 'end-to-end', output };
    case 'gfl': {
      const names = outputs.map((value) => value.name);
      const split = options.gflLayout === 'split';
      return {
        type: 'gfl',
        layout: split ? 'split' : 'joined',
        outputs: split ? names.slice(0, STRIDES.length) : names,
        boxOutputs: split ? names.slice(STRIDES.length) : [],
        regMax: options.regMax ?? 7,
        scores: options.gflScores ?? 'sigmoid-applied',
      };
    }
  }
};

const COLOUR = { yolox: 'bgr', yolov8: 'rgb', 'end-to-end': 'rgb', gfl: 'bgr' } as const;

/**
 * The graph: the mean of the input, times zero, is added to constants. The input is needed, and changes nothing.
 */
const graphOf = (options: TinyOptions, shape: Shape, outputs: readonly Output[]): Uint8Array<ArrayBuffer> => {
  const input = options.inputName ?? 'images';
  const nodes: GraphNode[] = [];
  const initializers: TensorValue[] = [];
  const inputs: GraphValue[] = [
    {
      name: input,
      type: options.inputType ?? 'float32',
      shape:
        options.inputShape ??
        (options.inputType === 'uint8'
          ? [1, shape.height, shape.width, 3]
          : [1, 3, shape.height, shape.width]),
    },
  ];
  const isBytes = options.inputType === 'uint8';
  const pixels = isBytes ? 'pixels' : 'picture';
  nodes.push({ op: 'Cast', inputs: [input], outputs: [pixels], attributes: { to: 1 } });
  if (isBytes) {
    const attributes = { perm: { ints: [0, 3, 1, 2] } };
    nodes.push({ op: 'Transpose', inputs: [pixels], outputs: ['picture'], attributes });
  }
  let features = 'picture';
  let channels = 3;
  for (let layer = 0; layer < (options.delayLayers ?? 0); layer++) {
    const weights = new Float32Array(32 * channels * 9).fill(1 / (channels * 9));
    initializers.push(floats(`w${layer}`, [32, channels, 3, 3], weights));
    nodes.push({
      op: 'Conv',
      inputs: [features, `w${layer}`],
      outputs: [`f${layer}`],
      attributes: { kernel_shape: { ints: [3, 3] }, pads: { ints: [1, 1, 1, 1] } },
    });
    [features, channels] = [`f${layer}`, 32];
  }
  nodes.push({ op: 'ReduceMean', inputs: [features], outputs: ['mean'], attributes: { keepdims: 0 } });
  initializers.push(floats('zero', [], Float32Array.of(0)));
  nodes.push({ op: 'Mul', inputs: ['mean', 'zero'], outputs: ['none0'] });
  let none = 'none0';
  /** Adds `value` (a float scalar that must be computed) to the outputs, times zero. */
  const depend = (value: string): void => {
    nodes.push({ op: 'Mul', inputs: [value, 'zero'], outputs: [`${value}.zero`] });
    nodes.push({ op: 'Add', inputs: [none, `${value}.zero`], outputs: [`${value}.none`] });
    none = `${value}.none`;
  };
  if (options.extraInput === true) {
    inputs.push({ name: 'extra', type: 'float32', shape: [] });
    depend('extra');
  }
  for (const [what, limit] of [
    ['crash', options.crashAbove],
    ['fail', options.failAbove],
  ] as const) {
    if (limit === undefined) continue;
    const at = (part: string): string => `${what}.${part}`;
    // fail: 1 / (mean <= limit); crash: the smallest integer / (2 * (mean <= limit) - 1).
    initializers.push(
      floats(at('limit'), [], Float32Array.of(limit)),
      int32Scalar(at('dividend'), what === 'fail' ? 1 : -(2 ** 31)),
      int32Scalar(at('factor'), what === 'fail' ? 1 : 2),
      int32Scalar(at('offset'), what === 'fail' ? 0 : -1),
    );
    nodes.push(
      { op: 'LessOrEqual', inputs: ['mean', at('limit')], outputs: [at('dim')] },
      { op: 'Cast', inputs: [at('dim')], outputs: [at('bit')], attributes: { to: 6 } },
      { op: 'Mul', inputs: [at('bit'), at('factor')], outputs: [at('double')] },
      { op: 'Add', inputs: [at('double'), at('offset')], outputs: [at('divisor')] },
      { op: 'Div', inputs: [at('dividend'), at('divisor')], outputs: [at('quotient')] },
      { op: 'Cast', inputs: [at('quotient')], outputs: [what], attributes: { to: 1 } },
    );
    depend(what);
  }
  if (options.hungryBytes !== undefined) {
    initializers.push(ints('hungry.shape', [Math.ceil(options.hungryBytes / 4)]));
    nodes.push({ op: 'Expand', inputs: ['mean', 'hungry.shape'], outputs: ['hungry.values'] });
    nodes.push({
      op: 'ReduceMean',
      inputs: ['hungry.values'],
      outputs: ['hungry'],
      attributes: { keepdims: 0 },
    });
    depend('hungry');
  }
  if (options.padBytes !== undefined) {
    const size = Math.ceil(options.padBytes / 4);
    initializers.push(floats('padding', [size], new Float32Array(size).fill(0.5)));
    nodes.push({ op: 'ReduceMax', inputs: ['padding'], outputs: ['pad'], attributes: { keepdims: 0 } });
    depend('pad');
  }
  if (options.marker !== undefined) {
    initializers.push(floats('marker', [], Float32Array.of(options.marker)));
    depend('marker');
  }
  if (options.externalWeights !== undefined) {
    initializers.push({
      name: 'outside',
      type: 'float32',
      dims: [],
      raw: new Uint8Array(0),
      external: options.externalWeights,
    });
    depend('outside');
  }
  for (const output of outputs) {
    const values = options.nan === true ? output.values.slice().fill(NaN) : output.values;
    initializers.push(floats(`${output.name}.constant`, output.dims, values));
    nodes.push({ op: 'Add', inputs: [`${output.name}.constant`, none], outputs: [output.name] });
  }
  return writeOnnx({
    nodes,
    inputs,
    outputs: outputs.map((output) => ({ name: output.name, type: 'float32', shape: output.dims })),
    initializers,
    ...(options.opset === undefined ? {} : { opset: options.opset }),
  });
};

/** A detector that emits `boxes` for every picture, with the manifest that describes it. */
export const tinyDetector = (options: TinyOptions): TinyDetector => {
  const size = options.size ?? 64;
  const { width, height } = typeof size === 'number' ? { width: size, height: size } : size;
  const boxes = options.boxes ?? [];
  const shape: Shape = { width, height, classes: options.outputClasses ?? options.classes.length };
  const outputs = outputsOf(options, shape, boxes);
  const bytes = graphOf(options, shape, outputs);
  const detector = detectorSpecSchema.parse({
    input: {
      name: options.inputName ?? 'images',
      width,
      height,
      colourOrder: COLOUR[options.head],
      letterbox: options.head === 'yolov8' ? 'centre' : 'top-left',
      ...(options.inputType === 'uint8' && { format: 'bytes' }),
    },
    head: headOf(options, outputs),
    classes: options.classes,
  });
  const id = createHash('sha256').update(bytes).digest('hex');
  const manifest = manifestSchema.parse({
    schema: 1,
    id,
    name: options.name ?? `tiny-${options.head}`,
    createdAt: '2025-01-01T00:00:00Z',
    createdBy: 'tests',
    modelBytes: bytes.length,
    detector,
  });
  return { bytes, id, detector, manifest, boxes };
};
