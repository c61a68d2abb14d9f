// What was measured already: rounded layers by bit-width, and compact rows by chunk of pictures and component.
import { join } from 'node:path';
import { z } from 'zod';
import type { ChannelGrid } from '../quantization/index.js';
import type { LayerErrors } from './alone.js';
import type { MeasuredBits, Perturbations, RoundedLayer } from './perturb.js';
import { readRecord, writeRecord } from './record.js';

const gridSchema = z.strictObject({
  bits: z.int().min(2).max(8),
  signed: z.boolean(),
  low: z.int(),
  high: z.int(),
  scale: z.number().positive(),
  zeroPoint: z.int(),
});

const perturbationsSchema = z.array(
  z.strictObject({
    name: z.string(),
    weights: z.int().nonnegative(),
    bias: z.int().nonnegative(),
    relativeError: z.number().nonnegative(),
    grid: gridSchema.optional(),
  }),
);

const pathOf = (folder: string, bits: MeasuredBits): string => join(folder, `rounded-${bits}.bin`);

/** Keeps what one bit-width makes of all components. */
export const keepPerturbations = (
  folder: string,
  bits: MeasuredBits,
  { weights, inputs }: Perturbations,
): void => {
  const floats: Float32Array[] = [];
  const header = [...new Set([...weights.keys(), ...inputs.keys()])].map((name) => {
    const layer = weights.get(name)?.get(bits);
    const grid: ChannelGrid | undefined = inputs.get(name)?.get(bits);
    if (layer !== undefined) floats.push(layer.weights, layer.bias ?? new Float32Array(0));
    return {
      name,
      weights: layer?.weights.length ?? 0,
      bias: layer?.bias?.length ?? 0,
      relativeError: layer?.relativeError ?? 0,
      ...(grid && { grid }),
    };
  });
  writeRecord(pathOf(folder, bits), header, floats);
};

/** What was kept of some bit-widths; undefined where one is missing. */
export const keptPerturbations = (
  folder: string,
  bits: readonly MeasuredBits[],
): Perturbations | undefined => {
  const weights = new Map<string, Map<MeasuredBits, RoundedLayer>>();
  const inputs = new Map<string, Map<MeasuredBits, ChannelGrid>>();
  const of = <T>(maps: Map<string, Map<MeasuredBits, T>>, name: string): Map<MeasuredBits, T> => {
    const map = maps.get(name) ?? new Map<MeasuredBits, T>();
    maps.set(name, map);
    return map;
  };
  for (const width of bits) {
    const record = readRecord(pathOf(folder, width), perturbationsSchema);
    if (record === undefined) return undefined;
    let at = 0;
    const take = (count: number): Float32Array => record.floats.subarray(at, (at += count));
    for (const entry of record.header) {
      if (entry.weights > 0) {
        of(weights, entry.name).set(width, {
          weights: take(entry.weights),
          bias: entry.bias > 0 ? take(entry.bias) : undefined,
          relativeError: entry.relativeError,
        });
      }
      if (entry.grid !== undefined) of(inputs, entry.name).set(width, entry.grid);
    }
    if (at !== record.floats.length) return undefined;
  }
  return { weights, inputs };
};

/** Rows of one component and variant, over the objects of one chunk. */
export interface Entry {
  readonly rows: Float32Array;
  readonly errors: LayerErrors;
}

const squares = z.strictObject({ noise: z.number(), signal: z.number() });
const entriesSchema = z.strictObject({
  component: z.string(),
  variants: z.array(
    z.strictObject({
      name: z.string().regex(/^[wa][248]$/),
      floats: z.int().nonnegative(),
      output: squares,
      input: squares,
    }),
  ),
});

const entryPath = (folder: string, chunk: string, index: number): string =>
  join(folder, chunk, `${index}.bin`);

/**
 * What was measured of a component on a chunk, by variant.
 *
 * @param index of the component, which is where it lies
 * @param floats how many each variant must have
 */
export const keptEntries = (
  folder: string,
  chunk: string,
  index: number,
  component: string,
  floats: number,
): Map<string, Entry> => {
  const found = new Map<string, Entry>();
  const record = readRecord(entryPath(folder, chunk, index), entriesSchema);
  if (record?.header.component !== component) return found;
  let at = 0;
  for (const { name, floats: count, output, input } of record.header.variants) {
    const rows = record.floats.subarray(at, at + count);
    at += count;
    if (count === floats && rows.length === floats) found.set(name, { rows, errors: { output, input } });
  }
  return found;
};

/** Adds to what is kept of a component on a chunk. */
export const keepEntries = (
  folder: string,
  chunk: string,
  index: number,
  component: string,
  entries: ReadonlyMap<string, Entry>,
): void => {
  const [first] = entries.values();
  if (first === undefined) return;
  const all = new Map([...keptEntries(folder, chunk, index, component, first.rows.length), ...entries]);
  const variants = [...all].map(([name, { rows, errors }]) => ({
    name,
    floats: rows.length,
    output: { noise: errors.output.noise, signal: errors.output.signal },
    input: { noise: errors.input.noise, signal: errors.input.signal },
  }));
  const floats = [...all.values()].map(({ rows }) => rows);
  writeRecord(entryPath(folder, chunk, index), { component, variants }, floats);
};
