// Measures plans of one model, each as a whole in turns with both uniform models, and knows when the machine was not quiet.
import { BitlaneError } from '../errors.js';
import { median } from '../system/index.js';
import type { Plan } from './network.js';
import { type Contender, inTurns, pairedRatios, type Stopwatch, type TurnsOptions } from './stopwatch.js';
import type { Variants } from './variants.js';

/** One plan, measured in turns with both uniform models. */
export interface Sample {
  readonly plan: Plan;
  readonly times: readonly number[];
  readonly fp32: readonly number[];
  readonly int8: readonly number[];
  /** How far the uniform models were from their usual relation meanwhile. */
  readonly disturbance: number;
}

/** Time of a plan over that of FP32. */
export const ratioOf = ({ times, fp32 }: Sample): number => median(pairedRatios(times, fp32));

/** The uniform models' relation is that of a quiet machine within this; a plan that met another is measured again. */
const QUIET = 0.035;
const AGAIN = 2;
/** Rounds of a random plan: many plans measured well enough tell more than a few measured well. */
const RANDOM: TurnsOptions = { least: 9, most: 17, tolerance: 0.01 };

export const isQuiet = ({ disturbance }: Sample): boolean => disturbance <= QUIET;

export interface MeterOptions {
  readonly variants: Variants;
  readonly stopwatch: Stopwatch;
  /** Both uniform models: FP32, then int8. */
  readonly contenders: readonly Contender[];
  /** int8 over FP32, as it was measured before. */
  readonly relation: number;
  /** Called before every measurement; what it throws ends it. */
  readonly tick: () => void;
  /** Whether there is no time for measuring a plan again. */
  readonly isLate: () => boolean;
  readonly isOver: () => boolean;
}

export class PlanMeter {
  readonly #options: MeterOptions;
  /** int8 over FP32, of every measurement. */
  readonly #relations: number[];

  constructor(options: MeterOptions) {
    this.#options = options;
    this.#relations = [options.relation];
  }

  /** Measures one plan; again where the machine was not quiet. */
  async measure(plan: Plan, turns: TurnsOptions = {}): Promise<Sample> {
    const { variants, stopwatch, contenders, tick, isLate, isOver } = this.#options;
    const contender = await stopwatch.contender(variants.bytes(plan));
    let best: Sample | undefined;
    try {
      for (let attempt = 0; attempt < AGAIN; attempt++) {
        tick();
        const [fp32 = [], int8 = [], times = []] = await inTurns([...contenders, contender], {
          ...turns,
          isOver,
        });
        const relation = median(pairedRatios(int8, fp32));
        this.#relations.push(relation);
        const disturbance = Math.abs(relation / median(this.#relations) - 1);
        if (best === undefined || disturbance < best.disturbance) {
          best = { plan, times, fp32, int8, disturbance };
        }
        if (disturbance <= QUIET || isLate()) break;
      }
    } finally {
      await contender.release();
    }
    if (best === undefined) throw new BitlaneError('INTERNAL', 'a plan was not measured');
    return best;
  }

  /** A random plan, in few rounds. */
  measureRandom(plan: Plan): Promise<Sample> {
    return this.measure(plan, RANDOM);
  }

  /** A random plan opened twice: where memory lies matters, and one that tests the prediction is not to test that. */
  async measureTwice(plan: Plan): Promise<Sample> {
    const [a, b] = [await this.measureRandom(plan), await this.measureRandom(plan)];
    if (isQuiet(a) !== isQuiet(b)) return isQuiet(a) ? a : b;
    return {
      plan,
      times: [...a.times, ...b.times],
      fp32: [...a.fp32, ...b.fp32],
      int8: [...a.int8, ...b.int8],
      disturbance: Math.max(a.disturbance, b.disturbance),
    };
  }
}
