// Measures a model on this device: both uniform precisions, random plans, a cost model over them, and the best plan, measured whole.
import { BitlaneError } from '../errors.js';
import type { Model } from '../onnx/index.js';
import { type Execution, type FeedSource } from '../quantization/index.js';
import type { SessionOptions, Tensors } from '../runtime/index.js';
import { median } from '../system/index.js';
import {
  type Accuracy,
  accuracyOf,
  type CostBasis,
  type CostModel,
  featuresOf,
  fitCost,
  type Observation,
  predictRatio,
} from './cost.js';
import { profileKernels, timesByNode } from './kernels.js';
import type { Plan } from './network.js';
import { randomPlan } from './random.js';
import { searchPlans } from './search.js';
import { type Contender, inTurns, pairedRatios, Stopwatch, type TurnsOptions } from './stopwatch.js';
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

export interface MeasureOptions {
  readonly threads: number;
  readonly session: SessionOptions;
  /** For everything; every step ends a little before its share of it has gone. */
  readonly seconds: number;
  /** Most random plans (default 80). */
  readonly plans?: number;
  /** Random plans that only test the prediction (default 20): every third one, until there are so many. */
  readonly heldOut?: number;
  readonly signal?: AbortSignal;
  /** Seconds gone. */
  readonly onProgress?: (seconds: number) => void;
}

export interface Measured {
  readonly basis: CostBasis;
  readonly cost: CostModel;
  readonly fittedTo: number;
  /** Random plans that were left out: whenever they were measured the machine was not quiet. */
  readonly disturbed: number;
  readonly accuracy: Accuracy;
  readonly uniform: { readonly fp32Ms: number; readonly int8Ms: number; readonly int8Ratio: number };
  readonly folding: { readonly isUsed: boolean; readonly ratio: number | null };
  readonly variants: Variants;
  readonly best: Best;
  readonly samples: readonly Sample[];
}

/** The fastest plan that was measured whole; a uniform one where no mixture is faster. */
export interface Best {
  readonly plan: Plan;
  readonly against: Execution;
  /** Over the better uniform model. */
  readonly latencyRatio: number;
  readonly fp32Ratio: number;
  readonly rounds: number;
}

/** Runs under onnxruntime's profiler. */
const KERNEL_RUNS = 30;
/** Folding must save this share of the time. */
const FOLDING_GAIN = 0.005;
/** The uniform models' relation is that of a quiet machine within this; a plan that met another is measured again. */
const QUIET = 0.035;
const AGAIN = 2;
const PUT_OFF = 2;
/** Shares of the time at which steps end. */
const UNTIL_PLANS = 0.6;
const UNTIL_CANDIDATES = 0.83;
/** Rounds of a random plan: many plans measured well enough tell more than a few measured well. */
const RANDOM: TurnsOptions = { least: 9, most: 17, tolerance: 0.01 };
const SEARCHES = 3;
const CANDIDATES = 4;
const FINALISTS = 3;
const FINAL_OPENINGS = 4;
const FINAL_ROUNDS = 12;

const repeated = <T>(count: number, value: T): T[] => Array.from({ length: count }, () => value);

interface RandomSamples {
  readonly fit: readonly Sample[];
  readonly test: readonly Sample[];
  readonly disturbed: number;
}

const ratioOf = ({ times, fp32 }: Sample): number => median(pairedRatios(times, fp32));

/** The measurement of one model, step by step. */
class Profiler {
  readonly #variants: Variants;
  readonly #options: MeasureOptions;
  readonly #feed: Tensors;
  readonly #stopwatch: Stopwatch;
  readonly #started = performance.now();
  readonly #samples: Sample[] = [];
  /** int8 over fp32, of every measurement. */
  readonly #relations: number[] = [];

  constructor(variants: Variants, feed: Tensors, options: MeasureOptions) {
    this.#variants = variants;
    this.#feed = feed;
    this.#options = options;
    this.#stopwatch = new Stopwatch(feed, options);
  }

  #tick(): void {
    this.#options.signal?.throwIfAborted();
    this.#options.onProgress?.(this.#seconds);
  }

  get #seconds(): number {
    return (performance.now() - this.#started) / 1000;
  }

  #isPast(share: number): boolean {
    return this.#seconds > share * this.#options.seconds;
  }

  async run(): Promise<Measured> {
    const all = this.#variants.regions.length;
    const [fp32, int8] = [repeated<Execution>(all, 'fp32'), repeated<Execution>(all, 'int8')];
    const references = [this.#variants.bytes(fp32, { fold: false }), this.#variants.bytes(int8)];
    const folding = await this.#folding(references, fp32);
    const variants = folding.isUsed ? this.#variants : this.#variants.unfolded();
    const basis = await this.#basis(variants, references, fp32);
    return this.#stopwatch.with(references, async (contenders) => {
      const first = await inTurns(contenders, { tolerance: 0.004 });
      const [fp32Ms, int8Ms] = [median(first[0] ?? []), median(first[1] ?? [])];
      const int8Ratio = median(pairedRatios(first[1] ?? [], first[0] ?? []));
      this.#relations.push(int8Ratio);
      const complete = { ...basis, referenceMs: fp32Ms };
      const random = await this.#randomPlans(variants, contenders, all);
      const observe = (sample: Sample): Observation => this.#observe(complete, variants, sample);
      const [kept, held] = [random.fit.map(observe), random.test.map(observe)];
      const accuracy = accuracyOf(fitCost(kept), held);
      const observations = [...kept, ...held];
      const cost = await this.#candidates(complete, variants, contenders, observations, [fp32, int8]);
      const best = await this.#final(variants, references, [fp32, int8]);
      return {
        basis: complete,
        cost,
        fittedTo: kept.length,
        disturbed: random.disturbed,
        accuracy,
        uniform: { fp32Ms, int8Ms, int8Ratio },
        folding,
        variants,
        best,
        samples: this.#samples,
      };
    });
  }

  async #folding(references: readonly Uint8Array[], fp32: Plan): Promise<Measured['folding']> {
    this.#tick();
    if (this.#variants.folded === undefined) return { isUsed: false, ratio: null };
    const [plain = new Uint8Array()] = references;
    return this.#stopwatch.with([plain, this.#variants.bytes(fp32)], async (contenders) => {
      const [base = [], folded = []] = await inTurns(contenders);
      const ratio = median(pairedRatios(folded, base));
      return { isUsed: ratio < 1 - FOLDING_GAIN, ratio };
    });
  }

  async #basis(
    variants: Variants,
    [fp32, int8]: readonly Uint8Array[],
    plan: Plan,
  ): Promise<Omit<CostBasis, 'referenceMs'>> {
    const { threads, session } = this.#options;
    const times = async (bytes: Uint8Array | undefined, model: Model): Promise<Record<string, number>> => {
      this.#tick();
      if (bytes === undefined) return {};
      const kernels = await profileKernels(bytes, this.#feed, KERNEL_RUNS, { ...session, threads });
      const found = timesByNode(kernels, model).times;
      return Object.fromEntries(Array.from(found, ([name, us]) => [name, us / 1000]));
    };
    const { model, folded, regions } = variants;
    return {
      model,
      folded,
      regions,
      times: { fp32: await times(fp32, model), int8: await times(int8, model) },
      foldedTimes: folded === undefined ? {} : await times(variants.bytes(plan), folded.model),
    };
  }

  /** Measures one plan in turns with both uniform models; again where the machine was not quiet. */
  async #measure(
    variants: Variants,
    contenders: readonly Contender[],
    plan: Plan,
    turns: TurnsOptions = {},
  ): Promise<Sample> {
    const contender = await this.#stopwatch.contender(variants.bytes(plan));
    let best: Sample | undefined;
    try {
      for (let attempt = 0; attempt < AGAIN; attempt++) {
        this.#tick();
        const [fp32 = [], int8 = [], times = []] = await inTurns([...contenders, contender], {
          ...turns,
          isOver: () => this.#isPast(1),
        });
        const relation = median(pairedRatios(int8, fp32));
        this.#relations.push(relation);
        const disturbance = Math.abs(relation / median(this.#relations) - 1);
        if (best === undefined || disturbance < best.disturbance) {
          best = { plan, times, fp32, int8, disturbance };
        }
        if (disturbance <= QUIET || this.#isPast(UNTIL_CANDIDATES)) break;
      }
    } finally {
      await contender.release();
    }
    if (best === undefined) throw new BitlaneError('INTERNAL', 'a plan was not measured');
    return best;
  }

  /** A plan opened twice: where memory lies matters, and one that tests the prediction is not to test that. */
  async #measureTwice(variants: Variants, contenders: readonly Contender[], plan: Plan): Promise<Sample> {
    const [a, b] = [
      await this.#measure(variants, contenders, plan, RANDOM),
      await this.#measure(variants, contenders, plan, RANDOM),
    ];
    if (Math.min(a.disturbance, b.disturbance) <= QUIET && Math.max(a.disturbance, b.disturbance) > QUIET) {
      return a.disturbance < b.disturbance ? a : b;
    }
    return {
      plan,
      times: [...a.times, ...b.times],
      fp32: [...a.fp32, ...b.fp32],
      int8: [...a.int8, ...b.int8],
      disturbance: Math.max(a.disturbance, b.disturbance),
    };
  }

  /** Random plans to fit to, and those that test the fit. One that met a machine that was not quiet is put off. */
  async #randomPlans(
    variants: Variants,
    contenders: readonly Contender[],
    regions: number,
  ): Promise<RandomSamples> {
    const { plans = 80, heldOut = 20 } = this.#options;
    const queue = Array.from({ length: plans }, (_, number) => ({ number, again: 0 }));
    const fit: Sample[] = [];
    const test: Sample[] = [];
    let disturbed = 0;
    for (const entry of queue) {
      if (this.#isPast(UNTIL_PLANS)) break;
      const { number, again } = entry;
      const isTest = number % 3 === 2 && number < 3 * heldOut;
      const plan = randomPlan(regions, number);
      const sample = isTest
        ? await this.#measureTwice(variants, contenders, plan)
        : await this.#measure(variants, contenders, plan, RANDOM);
      if (sample.disturbance <= QUIET) (isTest ? test : fit).push(sample);
      else if (again < PUT_OFF) queue.push({ number, again: again + 1 });
      else disturbed++;
    }
    if (fit.length < 2 || test.length < 1) {
      throw new BitlaneError(
        'BAD_USAGE',
        `${this.#options.seconds} s are too short to measure this model while the machine is as busy as it is: give more with --seconds`,
      );
    }
    this.#samples.push(...fit, ...test);
    return { fit, test, disturbed };
  }

  #observe(basis: CostBasis, variants: Variants, sample: Sample): Observation {
    return { features: featuresOf(basis, variants.allocation(sample.plan)), ratio: ratioOf(sample) };
  }

  /** Plans that the cost model finds best, measured, and the model fitted anew with them. */
  async #candidates(
    basis: CostBasis,
    variants: Variants,
    contenders: readonly Contender[],
    observations: Observation[],
    uniform: readonly Plan[],
  ): Promise<CostModel> {
    const measured = new Set(this.#samples.map(({ plan }) => plan.join()));
    let cost = fitCost(observations);
    for (const plan of uniform) {
      this.#samples.push(await this.#measure(variants, contenders, plan));
      measured.add(plan.join());
    }
    for (let round = 0; round < SEARCHES && !this.#isPast(UNTIL_CANDIDATES); round++) {
      this.#tick();
      const share = UNTIL_PLANS + ((UNTIL_CANDIDATES - UNTIL_PLANS) * (round + 0.6)) / SEARCHES;
      const found = searchPlans((plan) => predictRatio(cost, featuresOf(basis, variants.allocation(plan))), {
        starts: [...uniform, ...this.#fastest(2)],
        keep: CANDIDATES * (round + 2),
        seed: round + 1,
        isOver: () => this.#isPast(share),
      });
      const fresh = found.filter(({ plan }) => !measured.has(plan.join())).slice(0, CANDIDATES);
      for (const { plan } of fresh) {
        measured.add(plan.join());
        const sample = await this.#measure(variants, contenders, plan);
        this.#samples.push(sample);
        if (sample.disturbance <= QUIET) observations.push(this.#observe(basis, variants, sample));
      }
      cost = fitCost(observations);
    }
    return cost;
  }

  #fastest(count: number): Plan[] {
    return [...this.#samples]
      .sort((a, b) => ratioOf(a) - ratioOf(b))
      .slice(0, count)
      .map(({ plan }) => plan);
  }

  /** The finalists and both uniform models against each other, opened anew several times: where memory lies matters too. */
  async #final(
    variants: Variants,
    references: readonly Uint8Array[],
    uniform: readonly Plan[],
  ): Promise<Best> {
    const finalists = this.#fastest(FINALISTS);
    const models = [...references, ...finalists.map((plan) => variants.bytes(plan))];
    const samples = models.map((): number[] => []);
    for (let opening = 0; opening < FINAL_OPENINGS && (opening === 0 || !this.#isPast(1)); opening++) {
      this.#tick();
      const times = await this.#stopwatch.with(models, (contenders) =>
        inTurns(contenders, { least: FINAL_ROUNDS, most: FINAL_ROUNDS }),
      );
      times.forEach((column, i) => samples[i]?.push(...column));
    }
    const [fp32 = [], int8 = [], ...others] = samples;
    const int8Ratio = median(pairedRatios(int8, fp32));
    const against: Execution = int8Ratio < 1 ? 'int8' : 'fp32';
    const base = against === 'int8' ? int8 : fp32;
    const ratios = others.map((times) => median(pairedRatios(times, base)));
    const least = Math.min(...ratios);
    const winner = finalists[ratios.indexOf(least)];
    if (winner !== undefined && least < 1) {
      const fp32Ratio = median(pairedRatios(others[ratios.indexOf(least)] ?? [], fp32));
      return { plan: winner, against, latencyRatio: least, fp32Ratio, rounds: base.length };
    }
    const plan = uniform[against === 'int8' ? 1 : 0] ?? [];
    return { plan, against, latencyRatio: 1, fp32Ratio: Math.min(1, int8Ratio), rounds: base.length };
  }
}

/** One feed of a source. Throws `INTERNAL` where there is none. */
export const firstFeed = async (feeds: FeedSource): Promise<Tensors> => {
  for await (const feed of feeds()) return feed;
  throw new BitlaneError('INTERNAL', 'there is nothing to run the model on');
};

/**
 * Measures plans of a model. Blocks the thread while it runs; nothing else should run on the machine.
 *
 * @throws BitlaneError `BAD_USAGE` when the time is too short, the reason of `signal` when it is aborted
 */
export const measurePlans = (variants: Variants, feed: Tensors, options: MeasureOptions): Promise<Measured> =>
  new Profiler(variants, feed, options).run();
