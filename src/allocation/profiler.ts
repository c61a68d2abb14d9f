// Measures a model on this device: both uniform precisions, random plans, a cost model over them, and the best plan, measured whole.
import { BitlaneError } from '../errors.js';
import type { Model } from '../onnx/index.js';
import type { Execution } from '../quantization/index.js';
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
import { isQuiet, PlanMeter, ratioOf, type Sample } from './plan-meter.js';
import { randomPlan } from './random.js';
import { searchPlans } from './search.js';
import { inTurns, pairedRatios, Stopwatch } from './stopwatch.js';
import type { Variants } from './variants.js';

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
const PUT_OFF = 2;
/** Shares of the time at which steps end. */
const UNTIL_PLANS = 0.6;
const UNTIL_CANDIDATES = 0.83;
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

/** The measurement of one model, step by step. */
class Profiler {
  readonly #variants: Variants;
  readonly #options: MeasureOptions;
  readonly #feed: Tensors;
  readonly #stopwatch: Stopwatch;
  readonly #started = performance.now();
  readonly #samples: Sample[] = [];

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
      const meter = new PlanMeter({
        variants,
        stopwatch: this.#stopwatch,
        contenders,
        relation: int8Ratio,
        tick: () => this.#tick(),
        isLate: () => this.#isPast(UNTIL_CANDIDATES),
        isOver: () => this.#isPast(1),
      });
      const complete = { ...basis, referenceMs: fp32Ms };
      const random = await this.#randomPlans(meter, all);
      const observe = (sample: Sample): Observation => this.#observe(complete, variants, sample);
      const [kept, held] = [random.fit.map(observe), random.test.map(observe)];
      const accuracy = accuracyOf(fitCost(kept), held);
      const observations = [...kept, ...held];
      const cost = await this.#candidates(complete, variants, meter, observations, [fp32, int8]);
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

  /** Random plans to fit to, and those that test the fit. One that met a machine that was not quiet is put off. */
  async #randomPlans(meter: PlanMeter, regions: number): Promise<RandomSamples> {
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
      const sample = isTest ? await meter.measureTwice(plan) : await meter.measureRandom(plan);
      if (isQuiet(sample)) (isTest ? test : fit).push(sample);
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
    meter: PlanMeter,
    observations: Observation[],
    uniform: readonly Plan[],
  ): Promise<CostModel> {
    const measured = new Set(this.#samples.map(({ plan }) => plan.join()));
    let cost = fitCost(observations);
    for (const plan of uniform) {
      this.#samples.push(await meter.measure(plan));
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
        const sample = await meter.measure(plan);
        this.#samples.push(sample);
        if (isQuiet(sample)) observations.push(this.#observe(basis, variants, sample));
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

/**
 * Measures plans of a model. Blocks the thread while it runs; nothing else should run on the machine.
 *
 * @throws BitlaneError `BAD_USAGE` when the time is too short, the reason of `signal` when it is aborted
 */
export const measurePlans = (variants: Variants, feed: Tensors, options: MeasureOptions): Promise<Measured> =>
  new Profiler(variants, feed, options).run();
