// A candidate held against what it is to replace.
import type { Artifact, Validation } from '../registry/index.js';
import type { SignificanceMap } from '../significance/index.js';
import { labelsTell } from './acceptance.js';
import { compareModels, type Comparison } from './compare.js';
import { type Evidence, evidenceSchema } from './documents.js';
import type { AdaptOptions } from './options.js';
import { teacherAgreement } from './teacher.js';

const finite = (value: number): number | null => (Number.isFinite(value) ? value : null);

const validationOf = ({ data, split, pictures, before, after, map50Change }: Comparison): Validation => ({
  data,
  split,
  pictures,
  map50: finite(after.map50),
  map5095: finite(after.map5095),
  parentMap50: finite(before.map50),
  parentMap5095: finite(before.map5095),
  map50Drop: {
    value: finite(-map50Change.value),
    low: finite(-map50Change.high),
    high: finite(-map50Change.low),
  },
});

/** Holds a candidate against what is to be replaced. */
export const judgeCandidate = (
  parent: Artifact,
  candidate: Artifact,
  significance: SignificanceMap,
  step: string,
  options: AdaptOptions,
): Promise<Evidence> => {
  const { judgedBy, baseline = parent, checkpoints, signal, onProgress } = options;
  const report = {
    ...(signal !== undefined && { signal }),
    onProgress: (done: number, all: number) => onProgress?.('validating', done, all),
  };
  return checkpoints.once(step, evidenceSchema, async (): Promise<Evidence> => {
    const agreementOn = (frames: readonly string[]) =>
      teacherAgreement(parent, baseline, candidate, { frames, ...report });
    if (judgedBy.kind === 'teacher')
      return { kind: 'teacher', agreement: await agreementOn(judgedBy.frames) };
    const { dataSet, map } = judgedBy.validation;
    const pairs = significance.critical.pairs.flatMap((pair): [number, number][] => {
      const [a = -1, b = -1] = pair.map((name) => map.classes.indexOf(name));
      return a < 0 || b < 0 ? [] : [[a, b]];
    });
    const comparison = await compareModels(baseline, candidate, { dataSet, map, pairs, ...report });
    const { frames } = judgedBy;
    return {
      kind: 'labels',
      comparison,
      ...(frames !== undefined &&
        !labelsTell(comparison.map50Change) && { agreement: await agreementOn(frames) }),
    };
  });
};

/** With what it is worth beside its parent in the manifest; an artifact's file itself is not changed any more. */
export const judgedArtifact = (
  artifact: Artifact,
  { comparison }: Extract<Evidence, { kind: 'labels' }>,
): Artifact => ({
  ...artifact,
  manifest: { ...artifact.manifest, validation: [validationOf(comparison)] },
});
