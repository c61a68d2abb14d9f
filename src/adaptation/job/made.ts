// What the adapter says of an artifact that it made.
import { type Allocation, channelBits, type Component } from '../../quantization/index.js';
import type { Allocated, Made } from '../documents.js';
import type { MadeArtifact } from './result.js';

const bitsOf = (components: readonly Component[], allocation: Allocation): Record<string, number> => {
  const counts = new Map<number, number>();
  for (const component of components) {
    const entry = allocation.components[component.name];
    if (entry === undefined) continue;
    const widths = channelBits(component, entry);
    for (const bits of widths) {
      counts.set(bits, (counts.get(bits) ?? 0) + component.weightBytes / widths.length);
    }
  }
  const all = [...counts.values()].reduce((sum, count) => sum + count, 0);
  return Object.fromEntries([...counts].map(([bits, count]) => [String(bits), count / all]));
};

export const madeArtifact = (
  components: readonly Component[],
  folder: string,
  made: Made,
  { allocation, measured }: Allocated,
): MadeArtifact => ({
  id: made.id,
  folder,
  modelBytes: made.bytes,
  averageBits: made.averageBits,
  runMs: made.latency.ms,
  parentRunMs: made.latency.parentMs,
  bits: bitsOf(components, allocation),
  int8: Object.values(allocation.components).filter(({ execution }) => execution === 'int8').length,
  measured,
});
