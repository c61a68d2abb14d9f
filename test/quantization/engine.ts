// What onnxruntime makes of a model: its own optimized graph, read back.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Model, readModel, writeModel } from '../../src/onnx/index.js';
import { type SessionOptions, withSession } from '../../src/runtime/index.js';

/** The graph that onnxruntime runs for `model`. */
export const optimizedGraph = async (
  model: Model | Uint8Array,
  options: SessionOptions = {},
): Promise<Model> => {
  const folder = mkdtempSync(join(tmpdir(), 'bitlane-optimized-'));
  try {
    const path = join(folder, 'optimized.onnx');
    const bytes = model instanceof Uint8Array ? model : writeModel(model);
    await withSession(
      bytes,
      { optimization: 'extended', ...options, optimizedModelPath: path },
      () => undefined,
    );
    return readModel(path);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
};

/** How many nodes of each operator a model has. */
export const histogramOf = ({ graph }: Model): Record<string, number> => {
  const counts: Record<string, number> = {};
  for (const { opType } of graph.nodes()) counts[opType] = (counts[opType] ?? 0) + 1;
  return counts;
};
