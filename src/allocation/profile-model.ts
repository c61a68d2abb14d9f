// The whole of `bitlane profile`: probe the processor, measure the model, write down what was found.
import { type Model, type Node, type Value } from '../onnx/index.js';
import { BitlaneError } from '../errors.js';
import {
  checkKernels,
  type Component,
  componentsOf,
  type FeedSource,
  prepareModel,
} from '../quantization/index.js';
import type { SessionOptions, Tensors } from '../runtime/index.js';
import { median } from '../system/index.js';
import type { CostBasis } from './cost.js';
import { profileDevice, temperature } from './device.js';
import type { Plan, Region } from './network.js';
import { type MeasureOptions, type Measured, measurePlans } from './profiler.js';
import type { Sample } from './plan-meter.js';
import { type Profile, profileSchema } from './profile.js';
import { inTurns, pairedRatios, Stopwatch } from './stopwatch.js';
import { makeVariants, type Variants } from './variants.js';
import { isFolded } from './cost.js';

/** Peak memory of a process that serves this model, MB; `null` where it cannot be had. */
export type MemoryOf = (model: Uint8Array) => Promise<number | null>;

export interface ProfileOptions extends Omit<MeasureOptions, 'session'> {
  readonly model: { readonly id: string; readonly name: string };
  readonly session?: SessionOptions;
  readonly memoryOf?: MemoryOf;
}

export interface Profiled {
  readonly profile: Profile;
  /** Models of any plan, as they were measured. */
  readonly variants: Variants;
  readonly best: Plan;
}

const PRECISE = { 'session.x64quantprecision': '1' } as const;

interface Kernels {
  readonly variants: Variants;
  readonly kernels: Profile['kernels'];
  readonly session: SessionOptions;
}

/** One feed of a source. Throws `INTERNAL` where there is none. */
const firstFeed = async (feeds: FeedSource): Promise<Tensors> => {
  for await (const feed of feeds()) return feed;
  throw new BitlaneError('INTERNAL', 'there is nothing to run the model on');
};

/** 8-bit weights where they are exact; else 7-bit ones or exact kernels, whichever is faster on the whole model. */
const decideKernels = async (
  source: Model,
  feeds: FeedSource,
  feed: Tensors,
  { threads, session = {} }: ProfileOptions,
): Promise<Kernels> => {
  if (componentsOf(prepareModel(source)).length === 0) {
    throw new BitlaneError(
      'BAD_MODEL',
      'the model has no layer that can run in int8: there is nothing to profile',
    );
  }
  const check = await checkKernels(session);
  if (check.exact8Bit) {
    const variants = await makeVariants(source, feeds, false, session);
    return {
      variants,
      session,
      kernels: { ...check, weightBits: 8, configuration: {}, preciseRatio: null },
    };
  }
  const precise = { ...session, configuration: { ...session.configuration, ...PRECISE } };
  const isPrecise = (await checkKernels(precise)).exact8Bit;
  const variants = await makeVariants(source, feeds, true, session);
  if (!isPrecise) {
    return {
      variants,
      session,
      kernels: { ...check, weightBits: 7, configuration: {}, preciseRatio: null },
    };
  }
  const bytes = variants.bytes(variants.regions.map(() => 'int8'));
  const fast = await new Stopwatch(feed, { threads, session }).contender(bytes);
  try {
    const exact = await new Stopwatch(feed, { threads, session: precise }).contender(bytes);
    try {
      const [base = [], times = []] = await inTurns([fast, exact]);
      const preciseRatio = median(pairedRatios(times, base));
      return preciseRatio <= 1
        ? {
            variants: await makeVariants(source, feeds, false, session),
            session: precise,
            kernels: { ...check, weightBits: 8, configuration: PRECISE, preciseRatio },
          }
        : {
            variants,
            session,
            kernels: { ...check, weightBits: 7, configuration: {}, preciseRatio },
          };
    } finally {
      await exact.release();
    }
  } finally {
    await fast.release();
  }
};

/** The node of a component and those of the function behind it. */
const nodesOf = (component: Component, model: Model): Node[] => {
  const { graph } = model;
  const found: Node[] = [];
  let value: Value | undefined = graph.value(component.output);
  const maker = value?.producer;
  if (maker !== undefined) found.push(maker);
  while (value !== undefined && !value.isOutput) {
    const users = value.users;
    const [only] = users;
    const gate = users.find((node) => node.is('Sigmoid', 'HardSigmoid'));
    const product = users.find((node) => node.is('Mul'));
    if (users.length === 2 && gate !== undefined && product?.inputs.includes(gate.output()) === true) {
      found.push(gate, product);
      value = product.output();
    } else if (users.length === 1 && only?.is('Relu', 'Clip', 'LeakyRelu', 'Sigmoid', 'HardSwish') === true) {
      found.push(only);
      value = only.output();
    } else break;
  }
  return found;
};

const rounded = (value: number): number => Math.round(value * 1e4) / 1e4;

const regionTable = (regions: readonly Region[], { basis, cost, best }: Measured): Profile['regions'] => {
  const corrections = cost.slice(cost.length - regions.length);
  const sum = (region: Region, times: CostBasis['times']['fp32']): number =>
    region.components
      .flatMap((component) => nodesOf(component, basis.model))
      .reduce((total, { name }) => total + (times[name] ?? 0), 0);
  return regions.map((region, index) => ({
    name: region.name,
    components: region.components.map(({ name }) => name),
    fp32Ms: rounded(sum(region, basis.times.fp32)),
    int8Ms: rounded(sum(region, basis.times.int8) + (corrections[index] ?? 0) * basis.referenceMs),
    execution: best.plan[index] ?? 'fp32',
  }));
};

const sampleOf = ({ plan, times, fp32, int8 }: Sample): Profile['samples'][number] => ({
  plan: plan.map((execution) => (execution === 'int8' ? 'i' : 'f')).join(''),
  times: times.map(rounded),
  fp32: fp32.map(rounded),
  int8: int8.map(rounded),
});

/**
 * Measures what a model's precisions cost on this device, and finds its fastest plan. Blocks the thread while models run; nothing
 * else should run on the machine.
 *
 * @param feeds what ranges are measured on; the first one is what is timed
 * @throws BitlaneError `BAD_MODEL` when the model cannot be run, `BAD_USAGE` when the time is too short, the reason of `signal`
 */
export const profileModel = async (
  source: Model,
  feeds: FeedSource,
  options: ProfileOptions,
): Promise<Profiled> => {
  const before = temperature();
  const feed = await firstFeed(feeds);
  const { variants: all, kernels, session } = await decideKernels(source, feeds, feed, options);
  const measured = await measurePlans(all, feed, { ...options, session });
  const { variants, best, accuracy, uniform, folding, basis } = measured;
  const { memoryOf } = options;
  const memory = async (plan: Plan, fold: boolean): Promise<number | null> =>
    memoryOf === undefined ? null : memoryOf(variants.bytes(plan, { fold }));
  const uniformPlan = (execution: 'fp32' | 'int8'): Plan => variants.regions.map(() => execution);
  const allocation = variants.allocation(best.plan);
  const profile: Profile = {
    format: 'bitlane-profile',
    version: 1,
    measuredAt: new Date().toISOString(),
    model: options.model,
    device: await profileDevice(),
    threads: options.threads,
    temperature: { before, after: temperature() },
    kernels,
    uniform,
    folding,
    regions: regionTable(variants.regions, measured),
    nodes: { fp32: basis.times.fp32, int8: basis.times.int8, folded: basis.foldedTimes },
    cost: [...measured.cost],
    prediction: {
      plans: accuracy.plans,
      fittedTo: measured.fittedTo,
      disturbed: measured.disturbed,
      medianError: Number.isFinite(accuracy.medianError) ? accuracy.medianError : 0,
      worstError: accuracy.worstError,
      rankCorrelation: Number.isFinite(accuracy.rankCorrelation) ? accuracy.rankCorrelation : null,
      pairs: [...accuracy.pairs],
    },
    plan: {
      allocation,
      isFolded: isFolded(variants.folded, allocation),
      against: best.against,
      latencyRatio: best.latencyRatio,
      fp32Ratio: best.fp32Ratio,
      rounds: best.rounds,
    },
    memoryMb: {
      fp32: await memory(uniformPlan('fp32'), false),
      int8: await memory(uniformPlan('int8'), false),
      plan: await memory(best.plan, true),
    },
    samples: measured.samples.map(sampleOf),
  };
  return { profile: profileSchema.parse(profile), variants, best: best.plan };
};
