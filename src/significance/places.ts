// Where the values of a head's rows come from: channels and cells of the maps that its outputs are only moved from.
import { extract, isStatic, type Model, type Value, writeModel } from '../onnx/index.js';
import { floatTensor, type Tensors, withSession } from '../runtime/index.js';

const MOVERS = ['Reshape', 'Transpose', 'Concat', 'Flatten', 'Squeeze', 'Unsqueeze', 'Identity', 'Slice'];

/** A float32 names integers up to here exactly. */
const MOST_CODES = 2 ** 24;

export type Four = readonly [number, number, number, number];

/** The dimensions of a map of one picture, N, C, H, W; undefined for anything else. */
export const mapOf = (value: Value | undefined): Four | undefined => {
  const shape = value?.shape;
  if (value?.type !== 'float32' || shape?.length !== 4 || !isStatic(shape)) return undefined;
  const [n = 0, c = 0, h = 0, w = 0] = shape;
  return n === 1 ? [n, c, h, w] : undefined;
};

/** The maps that the outputs are only moved from; undefined where something is computed with rows. */
export const leavesOf = (outputs: readonly Value[]): Value[] | undefined => {
  const leaves = new Set<Value>();
  const waiting = [...outputs];
  const seen = new Set<Value>();
  for (let value = waiting.pop(); value !== undefined; value = waiting.pop()) {
    if (seen.has(value) || value.constant !== undefined) continue;
    seen.add(value);
    const { producer } = value;
    if (producer?.is(...MOVERS) === true && mapOf(value) === undefined) {
      waiting.push(...producer.needs.filter((need) => need.type !== 'int64'));
    } else if (mapOf(value) === undefined) return undefined;
    else leaves.add(value);
  }
  return [...leaves];
};

export interface Place {
  readonly leaf: number;
  readonly channel: number;
  readonly cell: number;
}

/** Where each element of the outputs comes from: the movers run over maps whose elements are their own addresses. */
export const traced = async (
  model: Model,
  leaves: readonly Value[],
  outputs: readonly string[],
): Promise<((output: string, element: number) => Place) | undefined> => {
  const starts: number[] = [];
  let size = 0;
  const feeds: Record<string, Tensors[string]> = {};
  for (const leaf of leaves) {
    const shape = mapOf(leaf) ?? [1, 0, 0, 0];
    const length = shape[1] * shape[2] * shape[3];
    const first = size;
    starts.push(first);
    size += length;
    feeds[leaf.name] = floatTensor(
      shape,
      Float32Array.from({ length }, (_, i) => first + i),
    );
  }
  if (size > MOST_CODES) return undefined;
  const tail = extract(model, leaves, outputs);
  const moved = await withSession(writeModel(tail), {}, (session) => session.run(feeds));
  return (output, element) => {
    const code = Number(moved[output]?.data[element]);
    let leaf = leaves.length - 1;
    while (leaf > 0 && code < (starts[leaf] ?? 0)) leaf--;
    const [, , height, width] = mapOf(leaves[leaf]) ?? [1, 0, 1, 1];
    const at = code - (starts[leaf] ?? 0);
    return { leaf, channel: Math.floor(at / (height * width)), cell: at % (height * width) };
  };
};
