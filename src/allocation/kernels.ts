// What each node of a model takes, from onnxruntime's own account of its kernels.
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { BitlaneError } from '../errors.js';
import type { Model, Node } from '../onnx/index.js';
import { type SessionOptions, type Tensors, withSession } from '../runtime/index.js';
import { median } from '../system/index.js';

const eventsSchema = z.array(
  z.looseObject({
    cat: z.string().optional(),
    name: z.string(),
    dur: z.number().optional(),
    args: z.looseObject({ op_name: z.string().optional(), node_index: z.string().optional() }).optional(),
  }),
);

/** One kernel of the optimized graph. */
export interface Kernel {
  /** As onnxruntime calls the node: a node's or value's name of the model, with what its optimizers append. */
  readonly name: string;
  readonly operator: string;
  /** Median over the runs. */
  readonly microseconds: number;
}

const SUFFIX = '_kernel_time';

/** Kernels in onnxruntime's profile. Throws `INTERNAL` when it is none. */
export const kernelsOf = (profile: string): Kernel[] => {
  const found = new Map<string, { name: string; operator: string; times: number[] }>();
  const parsed = eventsSchema.safeParse(parseJson(profile));
  if (!parsed.success)
    throw new BitlaneError('INTERNAL', 'the profile that onnxruntime wrote cannot be read');
  for (const { cat, name, dur, args } of parsed.data) {
    if (cat !== 'Node' || dur === undefined || !name.endsWith(SUFFIX)) continue;
    const key = args?.node_index ?? name;
    const kernel = found.get(key) ?? {
      name: name.slice(0, -SUFFIX.length),
      operator: args?.op_name ?? '',
      times: [],
    };
    kernel.times.push(dur);
    found.set(key, kernel);
  }
  return [...found.values()].map(({ name, operator, times }) => ({
    name,
    operator,
    microseconds: median(times),
  }));
};

const parseJson = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
};

/** What optimizers append to names. */
const APPENDED = [/\/\w+Fusion\/?$/, /_token_\d+$/, /_nchwc$/, /_\d+$/];

/** The node that a kernel's name comes from. */
const originOf = (
  kernel: Kernel,
  nodes: ReadonlyMap<string, Node>,
  makers: ReadonlyMap<string, Node>,
): Node | undefined => {
  let { name } = kernel;
  let node = nodes.get(name) ?? makers.get(name);
  for (const pattern of APPENDED) {
    if (node !== undefined) break;
    name = name.replace(pattern, '');
    node = nodes.get(name) ?? makers.get(name);
  }
  // A function that is fused into a convolution gives the kernel its name.
  while (node !== undefined && /Conv$/.test(kernel.operator) && !node.is('Conv')) {
    node = node.input(0)?.producer;
  }
  return node;
};

/** Microseconds of each node of `model` (by name), and of everything that belongs to none of them. */
export const timesByNode = (
  kernels: readonly Kernel[],
  { graph }: Model,
): { readonly times: ReadonlyMap<string, number>; readonly other: number } => {
  const nodes = new Map<string, Node>();
  const makers = new Map<string, Node>();
  for (const node of graph.nodes()) {
    nodes.set(node.name, node);
    for (const value of node.outputs) if (value !== undefined) makers.set(value.name, node);
  }
  const times = new Map<string, number>();
  let other = 0;
  for (const kernel of kernels) {
    const origin = originOf(kernel, nodes, makers);
    const isBorder = /^(Quantize|Dequantize)Linear$|^Reorder|^Transpose$/.test(kernel.operator);
    if (origin === undefined || (isBorder && !origin.is(kernel.operator))) other += kernel.microseconds;
    else times.set(origin.name, (times.get(origin.name) ?? 0) + kernel.microseconds);
  }
  return { times, other };
};

/**
 * Runs a model under onnxruntime's profiler. Blocks the thread while it runs.
 *
 * @param bytes the model
 * @throws BitlaneError `BAD_MODEL` when it cannot be run
 */
export const profileKernels = async (
  bytes: Uint8Array,
  feed: Tensors,
  runs: number,
  options: SessionOptions,
): Promise<Kernel[]> => {
  const folder = mkdtempSync(join(tmpdir(), 'bitlane-kernels-'));
  try {
    await withSession(bytes, { ...options, profilePrefix: join(folder, 'kernels') }, async (session) => {
      for (let i = 0; i < runs; i++) await session.run(feed);
      session.endProfiling();
    });
    const [file] = readdirSync(folder);
    return kernelsOf(file === undefined ? '' : readFileSync(join(folder, file), 'utf8'));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
};
