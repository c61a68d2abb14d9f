// Writes a network down for the reference: its nodes as JSON, its numbers in one file.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { integersOf, type Model, type Node, type Value } from '../../src/onnx/index.js';
import type { Tensors } from '../../src/runtime/index.js';
import type { Parameter } from '../../src/training/index.js';

interface Described {
  readonly op: string;
  readonly inputs: readonly string[];
  readonly output: string;
  readonly attributes: Readonly<Record<string, unknown>>;
}

export interface Quantizer {
  readonly scale: string;
  readonly low: number;
  readonly high: number;
}

const integers = (value: Value | undefined): readonly number[] =>
  (value?.constant === undefined ? undefined : integersOf(value.constant)) ?? [];

const floats = (value: Value | undefined): readonly number[] =>
  value?.constant?.kind === 'dense' && value.constant.type === 'float32' ? [...value.constant.data] : [];

const attributesOf = (node: Node, batch: number): Record<string, unknown> => {
  const list = (name: string, fallback: readonly number[]): readonly number[] => node.ints(name) ?? fallback;
  switch (node.opType) {
    case 'Conv':
      return {
        group: node.int('group', 1),
        strides: list('strides', [1, 1]),
        dilations: list('dilations', [1, 1]),
        pads: list('pads', [0, 0, 0, 0]),
      };
    case 'MaxPool':
      return {
        kernel_shape: list('kernel_shape', []),
        strides: list('strides', [1, 1]),
        pads: list('pads', [0, 0, 0, 0]),
      };
    case 'Concat':
      return { axis: node.int('axis', 1) };
    case 'Transpose':
      return { perm: list('perm', []) };
    case 'Reshape':
      return { shape: [batch, ...integers(node.input(1)).slice(1)] };
    case 'Resize':
      return { scale: floats(node.input(2))[2] };
    case 'Slice':
      return {
        starts: integers(node.input(1)),
        axes: integers(node.input(3)),
        steps: integers(node.input(4)),
      };
    default:
      return {};
  }
};

/** `x * sigmoid(x)` is written as people write it there, in one. */
const siluOf = (node: Node): Value | undefined => {
  if (!node.is('Mul')) return undefined;
  const [a, b] = node.inputs;
  if (b?.producer?.is('Sigmoid') === true && b.producer.input(0) === a) return a;
  return a?.producer?.is('Sigmoid') === true && a.producer.input(0) === b ? b : undefined;
};

const nodesOf = (model: Model, batch: number): Described[] => {
  const silus = new Set<Node>();
  for (const node of model.graph.nodes()) {
    if (siluOf(node) === undefined) continue;
    for (const value of node.inputs) if (value?.producer?.is('Sigmoid') === true) silus.add(value.producer);
  }
  return [...model.graph.nodes()].flatMap((node): Described[] => {
    if (silus.has(node)) return [];
    const input = siluOf(node);
    const taken = node.is('Conv', 'Add', 'Mul', 'Concat') ? node.inputs : node.inputs.slice(0, 1);
    return [
      {
        op: input === undefined ? node.opType : 'Silu',
        inputs: (input === undefined ? taken : [input]).map((value) => value?.name ?? ''),
        output: node.output()?.name ?? '',
        attributes: attributesOf(node, batch),
      },
    ];
  });
};

export interface Description {
  readonly model: Model;
  readonly batch: number;
  readonly parameters: readonly Parameter[];
  /** By the name of the weight. */
  readonly quantizers: Readonly<Record<string, Quantizer>>;
  readonly feeds: Tensors;
  readonly places: Float32Array;
  readonly rate: number;
  /** Gradients are clipped to it. */
  readonly norm: number;
}

/** Writes `network.json` and `numbers.bin` into `folder`. */
export const describe = (folder: string, description: Description): void => {
  const { model, batch, parameters, quantizers, feeds, places, rate, norm } = description;
  const chunks: Buffer[] = [];
  const tensors: Record<string, { at: number; size: number; dims: readonly number[] }> = {};
  let at = 0;
  const add = (name: string, dims: readonly number[], data: Float32Array): void => {
    tensors[name] = { at, size: data.length, dims };
    chunks.push(Buffer.from(data.buffer, data.byteOffset, data.byteLength));
    at += data.length;
  };
  for (const { name, dims, value } of parameters) add(name, dims, value);
  for (const [name, { dims, data }] of Object.entries(feeds)) add(name, dims, data as Float32Array);
  add('places', [places.length], places);
  const network = {
    nodes: nodesOf(model, batch),
    output: model.graph.outputs[0]?.name,
    tensors,
    parameters: parameters.filter(({ kind }) => kind !== 'step-size').map(({ name }) => name),
    quantizers,
    rate,
    norm,
  };
  writeFileSync(join(folder, 'network.json'), JSON.stringify(network));
  writeFileSync(join(folder, 'numbers.bin'), Buffer.concat(chunks));
};
