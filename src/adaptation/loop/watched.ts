// An adapted model that serves, until it was held against the one before it for long enough.
import type { AdaptationConfig } from '../../config/index.js';
import type { AdaptationRecord } from './record.js';
import type { LiveWatch } from './watch.js';

/** Share of what a model said that the FP32 model says too; `null` where it was asked about too little. */
export type AgreementOf = (model: string) => Promise<number | null>;

export interface WatchedOptions {
  readonly candidate: string;
  /** The model to go back to. */
  readonly baseline: string;
  readonly budget: AdaptationRecord['budget'];
  readonly live: LiveWatch;
  readonly agreement: AgreementOf | undefined;
  readonly untilMs: number;
}

export type Finding = { readonly kind: 'on' | 'over' } | { readonly kind: 'worse'; readonly reason: string };

/** Between two questions what the teacher said. */
const ASK_MS = 30_000;

const percent = (share: number): string => `${(100 * share).toFixed(0)} %`;

export class Watched {
  readonly #options: WatchedOptions;
  #askedMs = Number.NEGATIVE_INFINITY;
  #agreement: { readonly before: number | null; readonly after: number | null } = {
    before: null,
    after: null,
  };

  constructor(options: WatchedOptions) {
    this.#options = options;
  }

  get candidate(): string {
    return this.#options.candidate;
  }

  get baseline(): string {
    return this.#options.baseline;
  }

  /** What was seen of both; `null` where one of them was not seen. */
  get figures(): AdaptationRecord['live'] {
    const { before, after } = this.#options.live.figures;
    if (!this.#isSeen || before === undefined || after === undefined) return null;
    return { before, after, agreement: this.#agreement };
  }

  /** Looks once more. */
  async look(rules: AdaptationConfig['watch'], nowMs: number): Promise<Finding> {
    const { live, budget, untilMs } = this.#options;
    const reason = this.#isSeen
      ? (live.verdict(rules, budget.latencyMs) ?? (await this.#disagreement(rules.maxAgreementDrop, nowMs)))
      : undefined;
    if (reason !== undefined) return { kind: 'worse', reason };
    return { kind: nowMs > untilMs ? 'over' : 'on' };
  }

  /** False until its first frame: figures are still those of the model before. */
  get #isSeen(): boolean {
    return this.#options.live.model === this.candidate;
  }

  async #disagreement(most: number, nowMs: number): Promise<string | undefined> {
    const { agreement } = this.#options;
    if (agreement === undefined || nowMs < this.#askedMs + ASK_MS) return undefined;
    this.#askedMs = nowMs;
    const [before, after] = [await agreement(this.baseline), await agreement(this.candidate)];
    this.#agreement = { before, after };
    return before === null || after === null || before - after <= most
      ? undefined
      : `the FP32 model agrees with ${percent(after)} of what it says, and agreed with ${percent(before)} of the model before`;
  }
}
