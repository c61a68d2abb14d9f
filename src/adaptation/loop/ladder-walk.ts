// Walks the ladder: a device that is held back serves a faster artifact within seconds, and the better one again afterwards.
import { type FrameResult, workMs } from '../../detector/index.js';
import type { Log } from '../../system/index.js';
import { type LadderRules, LadderSteps, type Rungs, stepFrom } from './ladder.js';
import type { Serving } from './serving.js';

/** Frames whose p95 is looked at: few, for it must be quick. */
const LATEST = 64;
/** Its rungs were judged and measured before. */
const CANARY_FRAMES = 10;

export class LadderWalk {
  readonly #serving: Serving;
  readonly #log: Log;
  readonly #steps = new LadderSteps();
  #times: number[] = [];
  #model: string | undefined;

  constructor(serving: Serving, log: Log) {
    this.#serving = serving;
    this.#log = log;
  }

  result(result: FrameResult): void {
    if (result.artifactId !== this.#model) {
      this.#model = result.artifactId;
      this.#times = [];
    }
    this.#times.push(workMs(result));
    if (this.#times.length > LATEST) this.#times.shift();
  }

  /** @returns whether another rung serves now */
  async see(
    rungs: Rungs,
    throttled: boolean,
    latencyMs: number | undefined,
    rules: LadderRules,
    nowMs = performance.now(),
  ): Promise<boolean> {
    const active = this.#serving.artifact?.id;
    if (!rungs.some(({ id }) => id === active)) {
      this.#steps.reset();
      return false;
    }
    const isSlow = latencyMs !== undefined && this.#times.length === LATEST && this.#p95 > latencyMs;
    const rung = { down: stepFrom(rungs, active, 'down'), up: stepFrom(rungs, active, 'up') };
    const can = { down: rung.down !== undefined, up: rung.up !== undefined };
    const step = this.#steps.see(throttled || isSlow, nowMs, rules, can);
    const target = step === undefined ? undefined : rung[step];
    if (step === undefined || target === undefined) return false;
    this.#log.warn(
      `the device ${throttled || isSlow ? 'is held back' : 'is itself again'}: one step ${step}`,
      {
        model: target.slice(0, 12),
      },
    );
    const { committed, reason } = await this.#serving.deploy(target, { canaryFrames: CANARY_FRAMES });
    if (!committed) this.#log.warn(`the step ${step} was refused: ${reason ?? ''}`);
    return committed;
  }

  get #p95(): number {
    const sorted = [...this.#times].sort((a, b) => a - b);
    return sorted[Math.ceil(0.95 * sorted.length) - 1] ?? 0;
  }
}
