// The ladder: artifacts from the best to the fastest, and when to step down and up. Pure: time comes in from outside.
import { z } from 'zod';
import { artifactIdSchema } from '../../registry/index.js';

/** Artifacts that stand ready, the best first, each faster than the one before. */
export const ladderSchema = z.array(z.strictObject({ id: artifactIdSchema, runMs: z.number() })).max(16);
export type Rungs = z.infer<typeof ladderSchema>;

export interface LadderRules {
  readonly downSeconds: number;
  readonly upSeconds: number;
}

/** Going up too soon makes the next wait longer, up to so many times. */
const LONGEST = 16;

/** Decides steps; the owner takes them. */
export class LadderSteps {
  #strainedSinceMs: number | undefined;
  #relaxedSinceMs: number | undefined;
  #steppedUpMs = Number.NEGATIVE_INFINITY;
  #patience = 1;
  /** The latest step was one up. */
  #isUp = false;

  /**
   * @param can whether there is a rung below and one above
   * @param strained the device is throttled, or frames take longer than they may
   * @returns the step to take now, if any
   */
  see(
    strained: boolean,
    nowMs: number,
    { downSeconds, upSeconds }: LadderRules,
    can: { readonly down: boolean; readonly up: boolean } = { down: true, up: true },
  ): 'down' | 'up' | undefined {
    if (this.#isUp && nowMs - this.#steppedUpMs >= this.#patience * upSeconds * 1000) {
      // It has held: the next strain is another one.
      this.#patience = 1;
      this.#isUp = false;
    }
    if (strained) {
      this.#relaxedSinceMs = undefined;
      this.#strainedSinceMs ??= nowMs;
      if (!can.down || nowMs - this.#strainedSinceMs < downSeconds * 1000) return undefined;
      // Up was too soon: what it cost to find out is not paid again at once.
      if (nowMs - this.#steppedUpMs < this.#patience * upSeconds * 1000) {
        this.#patience = Math.min(LONGEST, 2 * this.#patience);
      }
      this.#strainedSinceMs = nowMs;
      this.#isUp = false;
      return 'down';
    }
    this.#strainedSinceMs = undefined;
    this.#relaxedSinceMs ??= nowMs;
    if (!can.up || nowMs - this.#relaxedSinceMs < this.#patience * upSeconds * 1000) return undefined;
    this.#relaxedSinceMs = nowMs;
    this.#steppedUpMs = nowMs;
    this.#isUp = true;
    return 'up';
  }

  /** Forgets what was: another model serves. */
  reset(): void {
    this.#strainedSinceMs = undefined;
    this.#relaxedSinceMs = undefined;
  }
}

/** The artifact one step from `active`; `undefined` where there is none. */
export const stepFrom = (
  rungs: Rungs,
  active: string | undefined,
  step: 'down' | 'up',
): string | undefined => {
  const at = rungs.findIndex(({ id }) => id === active);
  return at < 0 ? undefined : rungs[at + (step === 'down' ? 1 : -1)]?.id;
};
