// A graph that tells, for a few directions in the outputs at once, how far each filter moves along them when it alone is rounded.
import { gradient } from '../../autodiff/index.js';
import { BitlaneError } from '../../errors.js';
import {
  downstream,
  extract,
  type Graph,
  inferShapes,
  ints,
  intsTensor,
  type Model,
  type Node,
  tensorOf,
  type Value,
} from '../../onnx/index.js';
import { type Component, componentsOf } from '../../quantization/index.js';
import { floatsOf, type RoundedLayer } from '../perturb.js';
import { functionBehind } from './activation.js';
import { furtherDirections } from './directions.js';
import { type Seeds, seeded, valueOf } from './seeded.js';

/** One layer whose filters are looked at. */
export interface RoundedComponent {
  readonly component: Component;
  /** What rounding makes of it, for each of the bit-widths. */
  readonly layers: readonly RoundedLayer[];
}

/** What answers for a component. */
export interface Answer {
  readonly component: Component;
  /** For each direction the output [channels, bit-widths, 1] with the response of each filter. */
  readonly outputs: readonly string[];
}

export interface ResponseModels {
  /** From the input to the outputs, as they are. */
  readonly plain: Model;
  /**
   * Takes the model's input and a set of seeds for each direction. All of it in one graph: what layers see and how far rounded filters move
   * it is many times the size of the network, and would be copied on its way between two.
   */
  readonly responses: Model;
  /** For each direction, inputs with the weight of each element of the model's outputs, by the name of the output. */
  readonly seeds: readonly Seeds[];
  readonly answers: readonly Answer[];
}

/** Writes nodes, one a line. */
class Writer {
  readonly graph: Graph;
  readonly #model: Model;

  constructor(model: Model) {
    this.#model = model;
    this.graph = model.graph;
  }

  constant(value: Value | undefined): Float32Array | undefined {
    return floatsOf(this.#model, value?.name);
  }

  node(opType: string, inputs: readonly Value[], attributes = {}, name = opType): Value {
    const node = this.graph.addNode({ opType, inputs, attributes, name: this.graph.uniqueName(name) });
    const output = node.output();
    if (output === undefined) throw new BitlaneError('INTERNAL', `node ${node.label} has no output`);
    return output;
  }

  integers(values: readonly number[]): Value {
    return this.graph.addInitializer('axes', intsTensor(values));
  }

  floats(name: string, dims: readonly number[], data: Float32Array): Value {
    return this.graph.addInitializer(name, tensorOf('float32', dims, data));
  }

  reshape(value: Value, dims: readonly number[]): Value {
    return this.node('Reshape', [value, this.integers(dims)]);
  }

  transpose(value: Value, perm: readonly number[]): Value {
    return this.node('Transpose', [value], { perm: ints(perm) });
  }
}

/** The output channels of all bit-widths, those of one filter side by side: a layer with so many times the filters. */
const woven = (parts: readonly Float32Array[], channels: number, outer: number): Float32Array => {
  const all = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0));
  const inner = (parts[0]?.length ?? 0) / channels / outer;
  let at = 0;
  for (let row = 0; row < outer; row++) {
    for (let channel = 0; channel < channels; channel++) {
      for (const part of parts) {
        const from = (row * channels + channel) * inner;
        all.set(part.subarray(from, from + inner), at);
        at += inner;
      }
    }
  }
  return all;
};

/** Where a layer's function ends. */
interface FunctionEnd {
  readonly value: Value;
  readonly nodes: readonly Node[];
}

/** What a layer's filters give beyond FP32 when rounded, behind the layer's function: [channels, bit-widths, positions]. */
const differences = (
  writer: Writer,
  node: Node,
  { component, layers }: RoundedComponent,
  end: FunctionEnd,
): Value => {
  const { graph } = writer;
  const { outputChannels: channels, weightDims, axis, kind } = component;
  const [input, bias] = [node.input(0), node.input(2)];
  if (input === undefined) throw new BitlaneError('INTERNAL', `${component.name} has no input`);
  const count = layers.length;
  const outer = weightDims.slice(0, axis).reduce((product, dim) => product * dim, 1);
  const dims = weightDims.map((dim, i) => (i === axis ? dim * count : dim));
  const weights = writer.floats(
    'weights',
    dims,
    woven(
      layers.map(({ weights: each }) => each),
      channels,
      outer,
    ),
  );
  const own = writer.constant(bias);
  const biases =
    own === undefined
      ? undefined
      : writer.floats(
          'biases',
          [channels * count],
          woven(
            layers.map((layer) => layer.bias ?? own),
            channels,
            1,
          ),
        );
  let value = writer.node(
    node.opType,
    [input, weights, ...(biases === undefined ? [] : [biases])],
    Object.fromEntries(node.attributes),
    `${component.name}/rounded`,
  );
  const copies = new Map<Value | undefined, Value>([[node.output(), value]]);
  for (const each of end.nodes) {
    const copy = graph.addNode({
      opType: each.opType,
      domain: each.domain,
      name: graph.uniqueName(`${each.name}/rounded`),
      inputs: each.inputs.map((from) => copies.get(from) ?? from),
      attributes: each.attributes,
    });
    const made = copy.output();
    if (made === undefined) continue;
    copies.set(each.output(), made);
    value = made;
  }
  if (kind === 'Conv') {
    return writer.node('Sub', [
      writer.reshape(value, [channels, count, -1]),
      writer.reshape(end.value, [channels, 1, -1]),
    ]);
  }
  const rounded = writer.transpose(writer.reshape(value, [-1, channels, count]), [1, 2, 0]);
  return writer.node('Sub', [
    rounded,
    writer.transpose(writer.reshape(end.value, [-1, channels, 1]), [1, 2, 0]),
  ]);
};

/** The gradient as a column for each channel: [channels, positions, 1]. */
const columns = (writer: Writer, gradientOf: Value, { kind, outputChannels }: Component): Value =>
  kind === 'Conv'
    ? writer.reshape(gradientOf, [outputChannels, -1, 1])
    : writer.transpose(writer.reshape(gradientOf, [1, -1, outputChannels]), [2, 1, 0]);

/**
 * The models. For seeds v over the outputs o, the response of a filter is the first-order change of <v, o> when that filter alone
 * is rounded: <d<v, o>/da, a' - a> with a the layer's output behind its function, and a' - a exact. (Equal to
 * <dL/dW, W' - W> where the layer has no function.) Components that do not reach the outputs are left out.
 *
 * @param model from `prepareModel`, for one picture at once
 * @param outputs that are looked at
 * @param directions that are answered in one run
 * @throws BitlaneError `BAD_MODEL` for an operator that has no gradient rule, or shapes that are not fixed
 */
export const responseModels = (
  model: Model,
  outputs: readonly string[],
  roundings: readonly RoundedComponent[],
  directions: number,
): ResponseModels => {
  const { model: source, loss, seeds } = seeded(model, outputs);
  const { graph } = source;
  const end = graph.value(loss)?.producer;
  const known = new Map(componentsOf(source).map((component) => [component.name, component]));
  const wanted = roundings.flatMap((rounding) => {
    const output = graph.value(known.get(rounding.component.name)?.output ?? '');
    if (output === undefined || end === undefined || !downstream(output).has(end)) return [];
    const { value, nodes } = functionBehind(source, output);
    return [
      {
        rounding,
        output: output.name,
        name: value.name,
        nodes: nodes.flatMap((node) => node.output()?.name ?? []),
      },
    ];
  });
  if (wanted.length === 0)
    throw new BitlaneError(
      'BAD_MODEL',
      'no layer of the model reaches its outputs: there is nothing to measure',
    );
  const { model: whole, gradients } = gradient(source, {
    loss,
    of: [...new Set(wanted.map(({ name }) => name))],
    outputs: [],
  });

  const inner = new Writer(whole);
  const makerOf = (output: string): Node => {
    const { producer } = valueOf(whole, output);
    if (producer === undefined) throw new BitlaneError('INTERNAL', `nothing computes ${output}`);
    return producer;
  };
  const answers = wanted.map(({ rounding, name, output, nodes }) => {
    const end = { value: valueOf(whole, name), nodes: nodes.map(makerOf) };
    const moved = differences(inner, makerOf(output), rounding, end);
    const slope = columns(inner, valueOf(whole, gradients.get(name) ?? ''), rounding.component);
    const answer = inner.node('MatMul', [moved, slope], {}, `${rounding.component.name}/response`);
    return { component: rounding.component, answer };
  });
  inferShapes(whole);
  const given = whole.graph.inputs.filter(
    ({ name }) => ![...seeds.values()].some(({ input }) => input === name),
  );
  const ends = answers.map(({ answer }) => answer);
  const sets = [{ seeds, ends }, ...furtherDirections(whole, seeds, ends, directions - 1)];
  const inputs = sets.flatMap((set) => [...set.seeds.values()].map(({ input }) => valueOf(whole, input)));
  return {
    plain: extract(model, model.graph.inputs, outputs),
    responses: extract(
      whole,
      [...given, ...inputs],
      sets.flatMap((set) => set.ends),
    ),
    seeds: sets.map((set) => set.seeds),
    answers: answers.map(({ component }, index) => ({
      component,
      outputs: sets.flatMap((set) => set.ends[index]?.name ?? []),
    })),
  };
};
