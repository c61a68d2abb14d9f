// From a definition to a graph with fresh weights: convolutions, normalizations, a top-down neck, a head a stride.
import { Ops, type Plain } from '../../autodiff/index.js';
import { Graph, irVersionOf, Model, tensorOf, type Value } from '../../onnx/index.js';
import { Random } from '../../system/index.js';
import { detectorOf, type NetworkDefinition, strideOf } from './definition.js';

const OPSET = 18;
const STEM_KERNEL = 6;
const EPSILON = 1e-3;
/** Share of cells that a fresh network takes for objects: what is rare must not drown the first steps. */
const PRIOR = 0.01;

interface Shaped {
  readonly value: Value;
  readonly channels: number;
  readonly height: number;
  readonly width: number;
}

interface Convolution {
  readonly channels: number;
  readonly kernel: number;
  readonly stride?: number;
}

/** Builds one network. */
class Builder {
  readonly graph = new Graph('network');
  readonly #ops = new Ops(this.graph);
  readonly #random: Random;

  constructor(seed: number) {
    this.#random = new Random(seed, 4);
  }

  #floats(name: string, dims: readonly number[], fill: () => number): Value {
    const size = dims.reduce((a, b) => a * b, 1);
    const data = Float32Array.from({ length: size }, fill);
    return this.graph.addInitializer(name, tensorOf('float32', dims, data));
  }

  op(
    opType: string,
    name: string,
    inputs: readonly Value[],
    dims: readonly number[],
    more: Record<string, Plain> = {},
  ): Value {
    this.#ops.scope = name;
    return this.#ops.op(opType, inputs, dims, more, 'float32');
  }

  ints(values: readonly number[]): Value {
    return this.#ops.ints(values);
  }

  /** Normal weights, whose outputs keep their inputs' variance behind a Relu (He et al. 2015). */
  #weights(name: string, out: number, into: number, kernel: number, gain = 2): Value {
    const deviation = Math.sqrt(gain / (into * kernel * kernel));
    return this.#floats(
      `${name}.weight`,
      [out, into, kernel, kernel],
      () => deviation * this.#random.normal(),
    );
  }

  #convolve(
    name: string,
    x: Shaped,
    { channels, kernel, stride = 1 }: Convolution,
    parameters: readonly Value[],
  ): Shaped {
    // Windows lie around the pixels that they step over: 6x6 and 4x4 with stride 4, 3x3 with 1 or 2.
    const pad = kernel % 2 === 0 ? (kernel - stride) / 2 : (kernel - 1) / 2;
    const [height, width] = [x.height, x.width].map(
      (side) => Math.floor((side + 2 * pad - kernel) / stride) + 1,
    ) as [number, number];
    const value = this.op('Conv', name, [x.value, ...parameters], [1, channels, height, width], {
      kernel_shape: [kernel, kernel],
      strides: [stride, stride],
      pads: [pad, pad, pad, pad],
    });
    return { value, channels, height, width };
  }

  /** Convolution, normalization, Relu. */
  block(name: string, x: Shaped, shape: Convolution): Shaped {
    const { channels } = shape;
    const weights = this.#weights(name, channels, x.channels, shape.kernel);
    const convolved = this.#convolve(name, x, shape, [weights]);
    const each = (part: string, value: number): Value =>
      this.#floats(`${name}.norm.${part}`, [channels], () => value);
    const dims = [1, channels, convolved.height, convolved.width];
    const normal = this.op(
      'BatchNormalization',
      `${name}.norm`,
      [convolved.value, each('scale', 1), each('bias', 0), each('mean', 0), each('variance', 1)],
      dims,
      { epsilon: { f: EPSILON } },
    );
    return { ...convolved, value: this.op('Relu', `${name}.relu`, [normal], dims) };
  }

  /** A plain 1x1 convolution with a bias: a head's last layer. Small weights: it begins at its prior. */
  predictor(name: string, x: Shaped, channels: number, biasOf: (channel: number) => number): Shaped {
    const weights = this.#weights(name, channels, x.channels, 1, 0.02);
    let channel = 0;
    const bias = this.#floats(`${name}.bias`, [channels], () => biasOf(channel++));
    return this.#convolve(name, x, { channels, kernel: 1 }, [weights, bias]);
  }

  /** x + f(x), where f narrows to half the channels and widens again. */
  residual(name: string, x: Shaped): Shaped {
    const narrow = this.block(`${name}.narrow`, x, { channels: Math.max(4, x.channels / 2), kernel: 1 });
    const wide = this.block(`${name}.wide`, narrow, { channels: x.channels, kernel: 3 });
    return this.sum(`${name}.sum`, x, wide);
  }

  sum(name: string, a: Shaped, b: Shaped): Shaped {
    const dims = [1, a.channels, a.height, a.width];
    return { ...a, value: this.op('Add', name, [a.value, b.value], dims) };
  }

  /** Twice the sides, each pixel four times. */
  twice(name: string, x: Shaped): Shaped {
    const [height, width] = [2 * x.height, 2 * x.width];
    const scales = this.graph.addInitializer(
      `${name}.scales`,
      tensorOf('float32', [4], Float32Array.of(1, 1, 2, 2)),
    );
    this.#ops.scope = name;
    const value = this.#ops.op('Resize', [x.value, undefined, scales], [1, x.channels, height, width], {
      mode: 'nearest',
      nearest_mode: 'floor',
      coordinate_transformation_mode: 'asymmetric',
    });
    return { ...x, value, height, width };
  }
}

const priorBias = -Math.log((1 - PRIOR) / PRIOR);

/** The rows of one stride: [1, 5 + classes, cells]. */
const headOf = (
  build: Builder,
  name: string,
  x: Shaped,
  { neck, head }: NetworkDefinition,
  classes: number,
): Value => {
  const rows = ({ value, channels, height, width }: Shaped): Value =>
    build.op(
      'Reshape',
      `${name}.rows`,
      [value, build.ints([0, channels, -1])],
      [1, channels, height * width],
    );
  const hidden = { channels: neck, kernel: 3 };
  const biasOf = (channel: number): number => (channel < 4 ? 0 : priorBias);
  if (head === 'coupled') {
    return rows(build.predictor(`${name}.out`, build.block(`${name}.both`, x, hidden), 5 + classes, biasOf));
  }
  const boxes = build.predictor(`${name}.boxes`, build.block(`${name}.place`, x, hidden), 5, biasOf);
  const scores = build.predictor(
    `${name}.scores`,
    build.block(`${name}.kind`, x, hidden),
    classes,
    () => priorBias,
  );
  const [a, b] = [rows(boxes), rows(scores)];
  return build.op('Concat', `${name}.joined`, [a, b], [1, 5 + classes, boxes.height * boxes.width], {
    axis: 1,
  });
};

/**
 * A network with fresh weights, for one picture: input [1, 3, H, W], output [1, cells, 5 + classes] as a `yolox` head reads it.
 * Dense convolutions and Relu only; every convolution but the last ones has a `BatchNormalization` behind it.
 *
 * @param seed equal seeds make equal weights
 */
export const buildNetwork = (network: NetworkDefinition, classes: readonly string[], seed: number): Model => {
  const build = new Builder(seed);
  const { graph } = build;
  const { input, head } = detectorOf(network, classes);
  const pictures: Shaped = {
    value: graph.addInput(input.name, 'float32', [1, 3, network.height, network.width]),
    channels: 3,
    height: network.height,
    width: network.width,
  };
  let x = build.block('stem', pictures, {
    channels: network.stem,
    kernel: network.stemKernel ?? STEM_KERNEL,
    stride: 4,
  });
  const outputs = network.stages.map(({ channels, blocks }, stage) => {
    x = build.block(`stage${strideOf(stage)}.down`, x, { channels, kernel: 3, stride: 2 });
    for (let i = 0; i < blocks; i += 1) x = build.residual(`stage${strideOf(stage)}.block${i}`, x);
    return x;
  });
  const used = outputs.slice(-network.strides.length);
  const rows: Value[] = [];
  let above: Shaped | undefined;
  for (const [i, stage] of [...used.entries()].reverse()) {
    const stride = network.strides[i] ?? 0;
    const lateral = build.block(`neck${stride}.lateral`, stage, { channels: network.neck, kernel: 1 });
    const joined =
      above === undefined
        ? lateral
        : build.sum(`neck${stride}.sum`, lateral, build.twice(`neck${stride}.twice`, above));
    above = build.block(`neck${stride}.smooth`, joined, { channels: network.neck, kernel: 3 });
    rows.unshift(headOf(build, `head${stride}`, above, network, classes.length));
  }
  const cells = rows.reduce((sum, { shape }) => sum + Number(shape?.[2] ?? 0), 0);
  const width = 5 + classes.length;
  const all =
    rows.length === 1 && rows[0] !== undefined
      ? rows[0]
      : build.op('Concat', 'cells', rows, [1, width, cells], { axis: 2 });
  const turned = build.op('Transpose', 'turned', [all], [1, cells, width], { perm: [0, 2, 1] });
  const cut = (name: string, from: number, to: number): Value =>
    build.op(
      'Slice',
      name,
      [turned, build.ints([from]), build.ints([to]), build.ints([2])],
      [1, cells, to - from],
    );
  const scores = build.op('Sigmoid', 'scores', [cut('logits', 4, width)], [1, cells, width - 4]);
  const output = build.op('Concat', head.type, [cut('boxes', 0, 4), scores], [1, cells, width], { axis: 2 });
  if (head.type === 'yolox') graph.rename(output, head.output);
  graph.addOutput(output);
  return new Model({ graph, irVersion: irVersionOf(OPSET), opsets: [['', OPSET]] });
};
