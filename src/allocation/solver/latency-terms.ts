// A profile's cost model as terms over conditions: what each node and each change of precision adds, whatever the plan.
import { isStatic, type Model, sizeOf } from '../../onnx/index.js';
import { type Condition, holds, prepareModel, regionConditions } from '../../quantization/index.js';
import { named, type Region, regionsOf } from '../network.js';
import type { Profile } from '../profile.js';
import { foldedOf } from '../variants.js';

/** Milliseconds that are added where `on` holds and `off` does not. */
export interface LatencyTerm {
  readonly on: Condition;
  readonly off: Condition | undefined;
  readonly ms: number;
}

/** The time of any plan: a constant and the terms that apply. */
export interface LatencyTerms {
  readonly constantMs: number;
  readonly terms: readonly LatencyTerm[];
  /** Slices in front of these components are folded, which holds while all of them run in fp32. */
  readonly folded: ReadonlySet<string>;
  /** Slices in front of these could be folded and are not, which holds while one of them runs in int8. */
  readonly unfolded: ReadonlySet<string>;
}

/** Of `cost`: the constant, the nodes' share, four border costs; then the regions. */
const BEFORE_REGIONS = 6;
const PER_ELEMENTS = 1e5;

/**
 * The times that `latencyOf` gives, as terms that a solver can choose among. Where the profile has slices folded there are two: with
 * them, and without.
 *
 * @param source the model as it was profiled, or prepared already
 */
export const latencyTerms = (profile: Profile, source: Model): readonly LatencyTerms[] => {
  const plain = named(prepareModel(source));
  const folded = profile.folding.isUsed ? foldedOf(plain) : undefined;
  const none: ReadonlySet<string> = new Set();
  const unfolded = { folded: none, unfolded: folded?.components ?? none };
  return [
    ...(folded === undefined
      ? []
      : [
          {
            ...termsOf(profile, folded.model, regionsOf(plain), profile.nodes.folded),
            folded: folded.components,
            unfolded: none,
          },
        ]),
    { ...termsOf(profile, plain, regionsOf(plain), profile.nodes.fp32), ...unfolded },
  ];
};

const termsOf = (
  { cost, nodes, uniform }: Profile,
  model: Model,
  regions: readonly Region[],
  fp32: Profile['nodes']['fp32'],
): Pick<LatencyTerms, 'constantMs' | 'terms'> => {
  const [constant = 0, share = 0, perIn = 0, perInElement = 0, perOut = 0, perOutElement = 0] = cost;
  const { int8, borders } = regionConditions(model);
  const sums = new Map<Condition, number>();
  const add = (on: Condition, ms: number): void => {
    sums.set(on, (sums.get(on) ?? 0) + ms);
  };
  let constantMs = constant * uniform.fp32Ms;
  for (const [{ name }, runs] of int8) {
    const [before, after] = [fp32[name] ?? 0, nodes.int8[name] ?? 0];
    constantMs += share * before;
    add(runs, share * (after - before));
  }
  const byName = new Map([...int8].map(([{ name }, runs]) => [name, runs]));
  regions.forEach(({ components }, index) => {
    const all = components.reduce((sum, { macs = 1 }) => sum + macs, 0);
    const correction = (cost[BEFORE_REGIONS + index] ?? 0) * uniform.fp32Ms;
    for (const { name, macs = 1 } of components) {
      const runs = byName.get(name);
      if (runs !== undefined && all > 0) add(runs, (correction * macs) / all);
    }
  });
  const crossings = borders.flatMap(({ value, taken, made, kept }): LatencyTerm[] => {
    const { shape } = value;
    const elements = shape === undefined || !isStatic(shape) ? 0 : sizeOf(shape) / PER_ELEMENTS;
    return [
      { on: taken, off: made, ms: (perIn + perInElement * elements) * uniform.fp32Ms },
      { on: made, off: kept, ms: (perOut + perOutElement * elements) * uniform.fp32Ms },
    ];
  });
  const terms = [...[...sums].map(([on, ms]) => ({ on, off: undefined, ms })), ...crossings].filter(
    ({ on, off, ms }) => ms !== 0 && on !== off && !(on.kind === 'constant' && !on.value),
  );
  return { constantMs, terms };
};

/** Milliseconds of a plan, by which components run in int8. */
export const timeOf = (
  { constantMs, terms }: Pick<LatencyTerms, 'constantMs' | 'terms'>,
  runsInt8: (component: string) => boolean,
): number =>
  terms.reduce(
    (sum, { on, off, ms }) =>
      holds(on, runsInt8) && !(off !== undefined && holds(off, runsInt8)) ? sum + ms : sum,
    constantMs,
  );
