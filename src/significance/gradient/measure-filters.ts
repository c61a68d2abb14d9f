// Measures a map by filter: estimates for all from gradients, exact values for those that matter most.
import type { Component } from '../../quantization/index.js';
import { type Ground, groundOf, type SignificanceOptions } from '../ground.js';
import type { MapBits } from '../map.js';
import { effectsOf, type Measured } from '../measures.js';
import { floatsOf, type MeasuredBits } from '../perturb.js';
import { meanOf, spearman } from '../statistics.js';
import { sumByChannel } from './channels.js';
import { estimateFilters, type FilterEstimates } from './estimate.js';
import { type Filter, filtersOf, measureFilters } from './exact.js';
import type { FilterMap, FilterMeasures } from './filter-map.js';
import { type Information, informationOf, measureInformation } from './information.js';
import type { RoundedComponent } from './response-models.js';

export interface FilterOptions extends Omit<SignificanceOptions, 'kinds' | 'processes'> {
  /** Filters that are measured exactly afterwards: those that rounding changes most, by the estimates (default 32). */
  readonly exact?: number;
  /** Directions of a picture for its critical objects, at most (default 8). */
  readonly directions?: number;
}

const EXACT = 32;
/** Digits that count: a map has tens of thousands of numbers. */
const DIGITS = 5;

const short = (value: number): number => Number(value.toPrecision(DIGITS));

/** 4 (mean distance)^2: to second order a divergence. */
const fromDistance = (distance: number): number => 4 * distance * distance;

/** Estimates by component name, with exact values in the place of some. */
class Values {
  readonly #first: ReadonlyMap<string, number>;
  readonly #widths: number;
  readonly divergence: Float64Array;
  readonly robust: Float64Array;
  readonly signed: Float64Array | undefined;
  readonly guards: Readonly<Record<'objectness' | 'box' | 'others', Float64Array>>;

  constructor({ components, widths, tallies }: FilterEstimates) {
    this.#first = new Map(components.map(({ component, first }) => [component.name, first]));
    this.#widths = widths;
    this.divergence = tallies.divergence.means;
    this.robust = tallies.distance.means.map(fromDistance);
    this.signed = tallies.signed?.means;
    this.guards = {
      objectness: tallies.objectness.means,
      box: tallies.box.means,
      others: tallies.others.means,
    };
  }

  /** Where a filter stands; undefined for one that reaches no output. */
  place({ component, channel }: Filter, width: number): number | undefined {
    const first = this.#first.get(component);
    return first === undefined ? undefined : (first + channel) * this.#widths + width;
  }
}

/** The filters whose rounding changes most, at any of the bit-widths: those with the largest share of what a width costs in all. */
const mostChanged = (filters: readonly Filter[], values: Values, widths: number, count: number): Filter[] => {
  const sums = Array.from({ length: widths }, (_, width) =>
    filters.reduce((sum, filter) => sum + (values.robust[values.place(filter, width) ?? -1] ?? 0), 0),
  );
  const shareOf = (filter: Filter): number =>
    Math.max(
      ...sums.map((sum, width) =>
        sum === 0 ? 0 : (values.robust[values.place(filter, width) ?? -1] ?? 0) / sum,
      ),
    );
  return filters
    .map((filter) => ({ filter, share: shareOf(filter) }))
    .filter(({ share }) => share > 0)
    .sort((a, b) => b.share - a.share)
    .slice(0, count)
    .map(({ filter }) => filter);
};

interface Taken {
  readonly estimate: number;
  readonly exact: number;
}

/** Puts exact values in the place of estimates; gives both, by bit-width. */
const replaceBy = (
  values: Values,
  filters: readonly Filter[],
  measured: readonly (readonly (Measured | undefined)[])[],
  widths: number,
): { readonly divergence: Taken[]; readonly signed: Taken[] }[] => {
  const taken = Array.from({ length: widths }, () => ({ divergence: [] as Taken[], signed: [] as Taken[] }));
  for (const [i, filter] of filters.entries()) {
    for (const [width, one] of (measured[i] ?? []).entries()) {
      const at = values.place(filter, width);
      if (at === undefined || one === undefined) continue;
      const exact = meanOf(one.divergence);
      taken[width]?.divergence.push({ estimate: values.divergence[at] ?? 0, exact });
      values.divergence[at] = exact;
      values.robust[at] = effectsOf(one).divergence;
      if (values.signed === undefined || one.signed === undefined) continue;
      taken[width]?.signed.push({ estimate: values.signed[at] ?? 0, exact: meanOf(one.signed) });
      values.signed[at] = meanOf(one.signed);
    }
  }
  return taken;
};

const agreementOf = (taken: readonly Taken[]): number | null =>
  spearman(
    taken.map(({ estimate }) => estimate),
    taken.map(({ exact }) => exact),
  ) ?? null;

/** ||w' - w|| of each filter by ||w|| of its layer. */
const weightErrors = (
  { model }: Ground,
  component: Component,
  rounded: Float32Array | undefined,
): number[] => {
  const plain = floatsOf(model, component.weight) ?? new Float32Array(0);
  const whole = plain.reduce((sum, value) => sum + value * value, 0);
  return sumByChannel(component, plain.length, (i) => ((rounded?.[i] ?? 0) - (plain[i] ?? 0)) ** 2).map(
    (sum) => (whole === 0 ? 0 : Math.sqrt(sum / whole)),
  );
};

const measuresOf = (
  ground: Ground,
  values: Values,
  rounding: RoundedComponent,
  width: number,
  information: Information | undefined,
): FilterMeasures => {
  const { component, layers } = rounding;
  const at = (data: Float64Array): number[] =>
    Array.from({ length: component.outputChannels }, (_, channel) => {
      const place = values.place({ component: component.name, channel }, width);
      return place === undefined ? 0 : short(data[place] ?? 0);
    });
  const baselines = information && informationOf(ground.model, information, rounding, width);
  return {
    ...(values.signed && { signed: at(values.signed) }),
    divergence: at(values.divergence),
    robust: at(values.robust),
    objectness: at(values.guards.objectness),
    box: at(values.guards.box),
    others: at(values.guards.others),
    relativeWeightError: weightErrors(ground, component, layers[width]?.weights).map(short),
    ...(baselines && { fisher: baselines.fisher.map(short), hawq: baselines.hawq.map(short) }),
  };
};

export interface MeasuredFilters {
  readonly map: FilterMap;
  /** Backward passes over pictures. */
  readonly passes: number;
}

/**
 * Measures the map by filter. Objects, rounding and critical classes are those of the map by layer; rounded layers are kept in the
 * same cache. Blocks the thread.
 *
 * @throws BitlaneError as `measureSignificance`; `BAD_MODEL` for an operator that has no gradient rule, or shapes that are not fixed
 */
export const measureFilterMap = async (options: FilterOptions): Promise<MeasuredFilters> => {
  const { bits = [2, 4], rounding = 'gptq', exact = EXACT, signal, onProgress } = options;
  const ground = await groundOf(options);
  const { model, components, found, critical, perturbations } = ground;
  const roundings = components.flatMap((component): RoundedComponent[] => {
    const layers = bits.flatMap((width) => perturbations.weights.get(component.name)?.get(width) ?? []);
    return layers.length === bits.length ? [{ component, layers }] : [];
  });
  const given = {
    model,
    detector: options.model.detector,
    space: options.space,
    found,
    ...(signal && { signal }),
  };
  const estimates = await estimateFilters({
    ...given,
    critical,
    roundings,
    ...(options.directions !== undefined && { directions: options.directions }),
    onProgress: (done, all) => onProgress?.('estimating', done, all),
  });
  const values = new Values(estimates);
  const filters = mostChanged(filtersOf(model), values, bits.length, exact);
  const measured = await measureFilters({
    ...given,
    critical,
    perturbations,
    bits,
    filters,
    windows: ground.plan.windows,
    onProgress: (done, all) => onProgress?.('measuring', done, all),
  });
  const taken = replaceBy(values, filters, measured, bits.length);
  const information =
    options.baselines === true
      ? await measureInformation({
          ...given,
          objects: ground.objects,
          onProgress: (done, all) => onProgress?.('information', done, all),
        })
      : undefined;
  const map: FilterMap = {
    format: 'bitlane-significance',
    version: 2,
    model: options.model.id,
    data: ground.data,
    granularity: 'channel',
    critical: ground.criticality,
    temperature: critical.temperature,
    rounding,
    components: {},
    exact: {},
    reliability: { weights: {} },
    agreement: {},
  };
  for (const each of roundings) {
    const weights: FilterMap['components'][string]['weights'] = {};
    for (const [width, bit] of bits.entries()) {
      weights[keyOf(bit)] = measuresOf(ground, values, each, width, information);
    }
    map.components[each.component.name] = { weights };
  }
  for (const { component, channel } of filters) (map.exact[component] ??= []).push(channel);
  const { divergence, distance, signed } = estimates.tallies;
  for (const [width, bit] of bits.entries()) {
    const places = Array.from({ length: estimates.filters }, (_, i) => i * estimates.widths + width);
    map.reliability.weights[keyOf(bit)] = {
      ...(signed && { signed: signed.splitHalf(places) }),
      divergence: divergence.splitHalf(places),
      robust: distance.splitHalf(places),
    };
    const own = taken[width];
    map.agreement[keyOf(bit)] = {
      divergence: agreementOf(own?.divergence ?? []),
      ...(signed && { signed: agreementOf(own?.signed ?? []) }),
    };
  }
  return { map, passes: estimates.passes };
};

const keyOf = (bits: MeasuredBits): MapBits => `${bits}`;
