// What a candidate must show in the real detector process before it may take over: the budget, as measured.
import type { DeployFigures, Demands } from '../adaptation/index.js';
import { type CanaryFigures, peakMemoryMb } from '../detector/index.js';

/** The first limit that is missed, as a sentence; `undefined` where all are kept. What the device does not tell is not held against it. */
export const overBudget = (figures: DeployFigures, { budget = {} }: Demands): string | undefined => {
  const { latencyMs, memoryMb, modelBytes } = budget;
  if (modelBytes !== undefined && figures.modelBytes > modelBytes) {
    return `its file of ${figures.modelBytes} bytes is over the budget of ${modelBytes} bytes`;
  }
  if (latencyMs !== undefined && figures.p95Ms > latencyMs) {
    return `95 % of its frames take ${figures.p95Ms.toFixed(1)} ms or less, more than the budget of ${latencyMs} ms`;
  }
  if (memoryMb !== undefined && figures.memoryMb !== null && figures.memoryMb > memoryMb) {
    return `its process took ${figures.memoryMb} MB, more than the budget of ${memoryMb} MB`;
  }
  return undefined;
};

/**
 * What a candidate showed in its canary.
 *
 * @param pids of its process and of the serving one
 */
export const figuresOf = (
  { frames, candidate, serving, confident, found }: CanaryFigures,
  pids: readonly [candidate: number | undefined, serving: number | undefined],
  modelBytes: number,
): DeployFigures => {
  const [memoryMb = null, servingMb = null] = pids.map((pid) =>
    pid === undefined ? null : peakMemoryMb(pid),
  );
  return {
    frames,
    ...candidate,
    servingP95Ms: serving.p95Ms,
    agreement: confident === 0 ? null : found / confident,
    memoryMb,
    bothMb: memoryMb === null || servingMb === null ? null : memoryMb + servingMb,
    modelBytes,
  };
};
