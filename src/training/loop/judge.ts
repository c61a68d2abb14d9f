// Validation within a run: what a model is worth on pictures it does not learn from.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ClassOverride, type DataSet, evaluate, mapClasses, predict } from '../../evaluation/index.js';
import { createManifest, type DetectorSpec, MANIFEST_FILE, MODEL_FILE } from '../../registry/index.js';
import { writeFileAtomic } from '../../system/index.js';
import type { ValidationPoint } from './history.js';

const finite = (value: number): number => (Number.isFinite(value) ? value : 0);

/**
 * Figures of a model on a data set, as `bitlane eval` measures them.
 *
 * @throws BitlaneError `BAD_MODEL`, `BAD_DATASET`; the reason of `signal`
 */
export const judgeModel = async (
  bytes: Uint8Array,
  detector: DetectorSpec,
  dataSet: DataSet,
  options: {
    readonly threads?: number;
    readonly overrides?: readonly ClassOverride[];
    readonly signal?: AbortSignal;
  } = {},
): Promise<Omit<ValidationPoint, 'step'>> => {
  const folder = mkdtempSync(join(tmpdir(), 'bitlane-train-'));
  try {
    const modelPath = join(folder, MODEL_FILE);
    writeFileAtomic(modelPath, bytes);
    const manifest = createManifest(bytes, { name: 'in training', detector });
    const artifact = { id: manifest.id, modelPath, manifestPath: join(folder, MANIFEST_FILE), manifest };
    const map = mapClasses(detector.classes, dataSet.classes, options.overrides);
    const { results } = await predict(
      artifact,
      dataSet,
      map,
      { threads: options.threads ?? 1 },
      undefined,
      options.signal,
    );
    const { precision } = evaluate(results, map, { rounds: 0 });
    return { map50: finite(precision.map50), map5095: finite(precision.map5095) };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
};
