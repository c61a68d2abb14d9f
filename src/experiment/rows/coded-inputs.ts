// Layers that see few levels: what comes into each is rounded to a grid of a few bits, as in a fully quantized network (FQN, Li 2019).
import { inferShapes, type Model, cloneModel, tensorOf, type Value } from '../../onnx/index.js';
import {
  ActivationObserver,
  channelGrid,
  componentsOf,
  type FeedSource,
  type Range,
  tapValues,
} from '../../quantization/index.js';

/** Elements of a value and picture that a range is found from. */
const SAMPLES = 4_096;
/** Clipping that minimizes the expected error, which at few bits is what matters (ACIQ, Banner 2019). */
const METHOD = 'aciq';

export type InputBits = 4 | 8;

/**
 * A copy of the model whose layers take rounded inputs: a Clip to the range, QuantizeLinear, DequantizeLinear. Grids stay as they are
 * found; gradients go straight through them.
 *
 * @param model from `prepareModel`
 * @param bitsOf of what comes into a layer, by the layer's name
 * @throws BitlaneError `INTERNAL` where there are no feeds, `BAD_MODEL` when the model cannot be run
 */
export const withCodedInputs = async (
  model: Model,
  bitsOf: (component: string) => InputBits,
  feeds: FeedSource,
  signal?: AbortSignal,
): Promise<Model> => {
  const components = componentsOf(model);
  const observers = new Map(components.map(({ input }) => [input, new ActivationObserver()]));
  await tapValues(
    model,
    [...observers.keys()],
    feeds,
    (name, values) => observers.get(name)?.observe(values),
    {
      samples: SAMPLES,
      ...(signal !== undefined && { signal }),
    },
  );
  const copy = cloneModel(model);
  const { graph } = copy;
  const made = new Map<string, Value>();
  for (const { name, input } of components) {
    const bits = bitsOf(name);
    const value = graph.value(input);
    const range = observers.get(input)?.range(METHOD, bits);
    const layer = [...graph.nodes()].find((node) => node.name === name || node.output()?.name === name);
    if (value === undefined || range === undefined || layer === undefined) continue;
    const key = `${input}/${bits}`;
    const coded = made.get(key) ?? code(copy, value, range, bits);
    made.set(key, coded);
    layer.setInput(0, coded);
  }
  graph.sort();
  inferShapes(copy);
  return copy;
};

const code = ({ graph }: Model, value: Value, range: Range, bits: InputBits): Value => {
  const { scale, zeroPoint, low, high } = channelGrid(range.min, range.max, { bits, signed: false });
  const scope = graph.uniqueName(`${value.name}/coded`);
  const float = (name: string, number: number): Value =>
    graph.addInitializer(`${scope}/${name}`, tensorOf('float32', [], Float32Array.of(number)));
  const parameters = [
    float('scale', scale),
    graph.addInitializer(`${scope}/zero-point`, tensorOf('uint8', [], Uint8Array.of(zeroPoint))),
  ];
  const add = (opType: string, inputs: readonly Value[], type: 'float32' | 'uint8'): Value => {
    const node = graph.addNode({ opType, inputs: [...inputs], outputs: [graph.uniqueName(scope)] });
    const output = node.output();
    if (output === undefined) throw new TypeError(`${opType} gives nothing`);
    output.type = type;
    output.shape = value.shape;
    return output;
  };
  const bounds = [float('least', (low - zeroPoint) * scale), float('most', (high - zeroPoint) * scale)];
  const codes = add('QuantizeLinear', [add('Clip', [value, ...bounds], 'float32'), ...parameters], 'uint8');
  return add('DequantizeLinear', [codes, ...parameters], 'float32');
};
