// Validation within a run: what a model is worth on pictures it does not learn from.
import { type ClassOverride, type DataSet, evaluate, mapClasses, predict } from '../../evaluation/index.js';
import { type DetectorSpec, withTemporaryArtifact } from '../../registry/index.js';
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
  const map = mapClasses(detector.classes, dataSet.classes, options.overrides);
  const { results } = await withTemporaryArtifact(bytes, { name: 'in training', detector }, (artifact) =>
    predict(artifact, dataSet, map, { threads: options.threads ?? 1 }, undefined, options.signal),
  );
  const { precision } = evaluate(results, map, { rounds: 0 });
  return { map50: finite(precision.map50), map5095: finite(precision.map5095) };
};
