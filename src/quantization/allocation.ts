// The allocation: a bit-width and an execution precision for every component, as a type and as a file.
import type { z } from 'zod';
import { BitlaneError } from '../errors.js';
import { allocationSchema, type componentAllocationSchema } from '../registry/index.js';
import type { Component } from './components.js';
import { groupBytes, rowsOf } from './parts.js';

/** Bits that a weight may be stored in. */
export const BIT_WIDTHS = [2, 4, 8, 32] as const;
export type BitWidth = (typeof BIT_WIDTHS)[number];

/** What the kernel of a component computes in. */
export type Execution = 'int8' | 'fp32';

export { allocationSchema };

export type ComponentAllocation = z.infer<typeof componentAllocationSchema>;
export type Allocation = z.infer<typeof allocationSchema>;

/** An allocation over `components`, each as `choose` says. */
export const allocate = (
  components: readonly Component[],
  choose: (component: Component, index: number) => ComponentAllocation,
): Allocation => ({
  format: 'bitlane-allocation',
  version: 1,
  components: Object.fromEntries(
    components.map((component, index) => [component.name, choose(component, index)]),
  ),
});

/** Every component alike. */
export const uniformAllocation = (
  components: readonly Component[],
  bits: BitWidth,
  execution: Execution,
): Allocation => allocate(components, () => ({ bits, execution }));

const bad = (message: string, cause?: unknown): BitlaneError =>
  new BitlaneError('BAD_CONFIG', message, { cause });

/**
 * An allocation from the text of its file.
 *
 * @param what names the file in errors
 * @throws BitlaneError `BAD_CONFIG` naming the entry and the rule it breaks
 */
export const parseAllocation = (text: string, what: string): Allocation => {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw bad(`${what} is not JSON: it is truncated or no allocation`, error);
  }
  const result = allocationSchema.safeParse(value);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  const path = issue?.path.join('.') ?? '';
  const rule = issue?.message ?? 'it does not follow the schema';
  throw bad(`${what} is no allocation: ${path === '' ? rule : `${path}: ${rule}`}`);
};

/** Bits of each output channel. */
export const channelBits = (component: Component, { bits }: ComponentAllocation): readonly BitWidth[] =>
  typeof bits === 'number' ? Array.from({ length: component.outputChannels }, () => bits) : bits;

const problemOf = (component: Component, entry: ComponentAllocation | undefined): string | undefined => {
  const { name, outputChannels } = component;
  if (entry === undefined) return `the allocation says nothing of component ${name}`;
  const { bits, execution } = entry;
  if (typeof bits !== 'number' && bits.length !== outputChannels) {
    return `component ${name} has ${outputChannels} output channels and the allocation gives bits for ${bits.length}`;
  }
  if (execution === 'int8' && channelBits(component, entry).includes(32)) {
    return `component ${name} is to run in int8 and so cannot have 32-bit weights: give it fewer bits, or fp32 execution`;
  }
  return undefined;
};

/** What is wrong with an allocation for these components, in plain sentences; empty when nothing is. */
export const allocationProblems = (
  allocation: Allocation,
  components: readonly Component[],
): readonly string[] => {
  const known = new Set(components.map(({ name }) => name));
  return [
    ...components.flatMap((component) => problemOf(component, entryOf(allocation, component.name)) ?? []),
    ...Object.keys(allocation.components)
      .filter((name) => !known.has(name))
      .map((name) => `the model has no component ${name}, which the allocation names`),
  ];
};

const entryOf = (allocation: Allocation, name: string): ComponentAllocation | undefined =>
  Object.hasOwn(allocation.components, name) ? allocation.components[name] : undefined;

/** What an allocation says of a component. Throws `BAD_CONFIG` where it says nothing. */
export const allocationOf = (allocation: Allocation, component: Component): ComponentAllocation => {
  const entry = entryOf(allocation, component.name);
  if (entry === undefined) throw bad(`the allocation says nothing of component ${component.name}`);
  return entry;
};

/**
 * Checks an allocation against a model's components.
 *
 * @throws BitlaneError `BAD_CONFIG` with the first problem and how many there are
 */
export const checkAllocation = (allocation: Allocation, components: readonly Component[]): void => {
  const [first, ...others] = allocationProblems(allocation, components);
  if (first === undefined) return;
  throw bad(others.length === 0 ? first : `${first} (and ${others.length} more problems)`);
};

/** Bytes of a component's weights, scales and bias under an allocation. */
export const componentBytes = (component: Component, entry: ComponentAllocation): number => {
  const { outputChannels, weightBytes } = component;
  const perChannel = weightBytes / 4 / outputChannels;
  const channels = new Map<number, number>();
  for (const bits of channelBits(component, entry)) channels.set(bits, (channels.get(bits) ?? 0) + 1);
  let bytes = component.bias === undefined ? 0 : 4 * outputChannels;
  for (const [bits, count] of channels) bytes += Math.ceil((count * perChannel * bits) / 8);
  return channels.get(32) === outputChannels ? bytes : bytes + 4 * outputChannels;
};

/** Bytes that an allocation implies: packed weights, a scale a channel, biases. What else a file holds is not in it. */
export const allocationBytes = (components: readonly Component[], allocation: Allocation): number =>
  components.reduce(
    (sum, component) => sum + componentBytes(component, allocationOf(allocation, component)),
    0,
  );

/**
 * Bytes of graph that packing takes beside {@link allocationBytes}, more than INT8 weights would: parts of each width, shared by layers
 * whose rows are alike, and the order of the channels. An estimate; less than nothing where sharing saves more than it costs.
 */
export const mixtureBytes = (components: readonly Component[], allocation: Allocation): number => {
  const groups = new Map<string, (readonly BitWidth[])[]>();
  for (const component of components) {
    const bits = channelBits(component, allocationOf(allocation, component)).filter((width) => width !== 32);
    if (bits.every((width) => width === 8)) continue;
    const key = rowsOf(component.weightDims, component.axis);
    groups.set(key, [...(groups.get(key) ?? []), bits]);
  }
  return [...groups.values()].reduce((sum, group) => sum + groupBytes(group), 0);
};

/** Stored bits of a weight on average. */
export const averageBits = (components: readonly Component[], allocation: Allocation): number => {
  let [bits, weights] = [0, 0];
  for (const component of components) {
    const count = component.weightBytes / 4;
    const widths = channelBits(component, allocationOf(allocation, component));
    for (const width of widths) bits += (width * count) / component.outputChannels;
    weights += count;
  }
  return weights === 0 ? 0 : bits / weights;
};
