// An allocation within limits: solved, measured as the real artifact, solved again where it is over them.
import { createHash } from 'node:crypto';
import { type Budget, type MeasureArtifact, meetBudget, type Problem } from '../allocation/index.js';
import { untold } from '../quantization/index.js';
import type { Checkpoints } from './checkpoints.js';
import { type Allocated, allocatedSchema, measurementsSchema } from './documents.js';
import type { AdaptOptions } from './options.js';

/**
 * Nodes of one solution's search: what is not proved to be the best by then is taken with its gap. Seconds would make the outcome a
 * matter of how busy the device was.
 */
export const NODES = 4_000;
export const SECONDS = 600;

/** Every measurement is taken once: a run that is taken up again gets the numbers of the one before. */
const measuredOnce =
  (checkpoints: Checkpoints, measure: MeasureArtifact): MeasureArtifact =>
  (allocation, attempt) => {
    const key = createHash('sha256').update(JSON.stringify(allocation)).digest('hex').slice(0, 16);
    const step = attempt === 0 ? `measured-${key}` : `measured-${key}-${attempt}`;
    return checkpoints.once(step, measurementsSchema, () => measure(allocation, attempt));
  };

/** Solves a problem within its limits and measures what comes out. */
export const allocateWithin = async (
  problem: Problem,
  limits: Budget,
  step: string,
  {
    checkpoints,
    measure,
    signal,
    onProgress,
    timed = untold,
  }: Pick<AdaptOptions, 'checkpoints' | 'measure' | 'signal' | 'onProgress' | 'timed'>,
): Promise<Allocated> =>
  checkpoints.once(step, allocatedSchema, async () => {
    const { rounds, ...met } = await timed(() =>
      meetBudget(problem, limits, {
        measure: measuredOnce(checkpoints, measure),
        nodes: NODES,
        seconds: SECONDS,
        ...(signal !== undefined && { signal }),
        onRound: (round) => onProgress?.('solving', round, round),
      }),
    );
    return { ...met, rounds: rounds.length };
  });
