// The rows of every component on all chunks: what is kept already, and the rest measured by processes of their own.
import type { Component } from '../quantization/index.js';
import { type Entry, keptEntries } from './cache.js';
import { compactWidth } from './compact.js';
import { type Variant, variantName } from './perturb.js';
import type { ChunkPlan, EvaluationPlan } from './plan.js';
import type { WorkerJob, WorkerSetup } from './worker-messages.js';
import { doJobs } from './workers.js';

/** Rows of all objects, by component and variant. */
export type ComponentRows = ReadonlyMap<string, ReadonlyMap<string, Entry>>;

export interface ComponentRowsOptions {
  readonly components: readonly Component[];
  readonly variants: readonly Variant[];
  readonly setup: WorkerSetup;
  readonly processes: number;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress: (done: number, all: number) => void;
}

/** Rows one behind the other, squares summed. */
const joined = (entries: readonly Entry[]): Entry => {
  const rows = new Float32Array(entries.reduce((sum, entry) => sum + entry.rows.length, 0));
  let at = 0;
  const sums = { output: { noise: 0, signal: 0 }, input: { noise: 0, signal: 0 } };
  for (const { rows: own, errors } of entries) {
    rows.set(own, at);
    at += own.length;
    for (const side of ['output', 'input'] as const) {
      sums[side].noise += errors[side].noise;
      sums[side].signal += errors[side].signal;
    }
  }
  return { rows, errors: sums };
};

/** Components that reach no output are left out. */
export const componentRows = async (
  chunks: readonly ChunkPlan[],
  { reached }: EvaluationPlan,
  { components, variants, setup, processes, signal, onProgress }: ComponentRowsOptions,
): Promise<ComponentRows> => {
  const width = compactWidth(setup.space);
  const names = variants.map(variantName);
  const kept = (chunk: ChunkPlan, index: number): Map<string, Entry> =>
    keptEntries(setup.folder, chunk.key, index, components[index]?.name ?? '', chunk.objects * width);
  let [done, all] = [0, 0];
  const jobs = chunks.flatMap((chunk): WorkerJob[] => {
    const todo = components.flatMap(({ name }, index) => {
      if (!reached.has(name)) return [];
      all++;
      const have = kept(chunk, index);
      const missing = names.filter((variant) => !have.has(variant));
      if (missing.length === 0) done++;
      return missing.length === 0 ? [] : [{ index, variants: missing }];
    });
    const pictures = chunk.pictures.map(({ path, rows }) => ({ path, rows: [...rows] }));
    return todo.length === 0 ? [] : [{ type: 'job', chunk: chunk.key, pictures, todo }];
  });
  onProgress(done, all);
  await doJobs(setup, jobs, {
    processes,
    ...(signal && { signal }),
    onComponent: () => onProgress(Math.min(++done, all), all),
  });
  return new Map(
    components.flatMap(({ name }, index) => {
      if (!reached.has(name)) return [];
      const parts = chunks.map((chunk) => kept(chunk, index));
      const entries = names.flatMap((variant): [string, Entry][] => {
        const own = parts.map((part) => part.get(variant));
        if (own.some((entry) => entry === undefined)) return [];
        return [[variant, joined(own.filter((entry) => entry !== undefined))]];
      });
      return [[name, new Map(entries)] as const];
    }),
  );
};
