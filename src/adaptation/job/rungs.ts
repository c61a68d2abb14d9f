// The ladder below a candidate: artifacts that the device runs faster.
import { join } from 'node:path';
import { leastUsage } from '../../allocation/index.js';
import { BitlaneError } from '../../errors.js';
import { untold } from '../../quantization/index.js';
import type { Artifact } from '../../registry/index.js';
import type { Allocated } from '../documents.js';
import { judgeCandidate } from '../judgement.js';
import { allocateWithin } from '../limits.js';
import { artifactMeasure } from '../measure-artifact.js';
import type { Adapted, AdaptOptions } from '../options.js';
import { problemFor } from '../significance.js';
import { makeArtifact } from '../weights.js';
import type { Job } from './job.js';
import { madeArtifact } from './made.js';
import type { JobResult } from './result.js';

/** A rung that is not this much faster than the one above is none. */
const WORTH = 0.97;
const NODES = 4_000;

/** Artifacts that are faster and worse than the candidate, each a step down; none where the device gains nothing by it. */
export const rungsBelow = async (
  parent: Artifact,
  adapted: Adapted,
  adapt: AdaptOptions,
  job: Job,
): Promise<Extract<JobResult, { outcome: 'accepted' | 'rejected' }>['rungs']> => {
  const top = adapted.allocated.usage.latencyMs;
  if (job.rungs === 0 || top === undefined) return [];
  const { modelBytes } = job.budget;
  const { timed = untold } = adapt;
  const alone = await problemFor(parent, adapted.significance, adapt);
  const problem = { ...alone, interactions: adapted.interactions };
  const fastest = await timed(() => leastUsage(problem, 'latencyMs', { modelBytes }, { nodes: NODES }));
  if (fastest === undefined || fastest > WORTH * top) return [];
  const rungs = [];
  let above = top;
  for (let number = 1; number <= job.rungs; number++) {
    const latencyMs = top - ((top - fastest) * number) / job.rungs + 1e-6;
    if (latencyMs > WORTH * above) continue;
    above = latencyMs;
    const step = `rung-${number}`;
    const measure = artifactMeasure(parent, {
      budget: { modelBytes },
      profile: undefined,
      isRun: false,
      signal: adapt.signal,
    });
    let allocated: Allocated;
    try {
      allocated = await allocateWithin(problem, { modelBytes, latencyMs }, `${step}-allocation`, {
        ...adapt,
        measure,
      });
    } catch (error) {
      // What the fastest plan leaves may be too little for the file: the ladder ends here, the candidate stands.
      if (error instanceof BitlaneError && error.code === 'BAD_USAGE') break;
      throw error;
    }
    const { made, artifact } = await makeArtifact(parent, allocated.allocation, step, adapt, {});
    const evidence = await judgeCandidate(parent, artifact, adapted.significance, `${step}-judgement`, adapt);
    rungs.push({ ...madeArtifact(adapted.components, join(adapt.folder, step), made, allocated), evidence });
  }
  return rungs;
};
