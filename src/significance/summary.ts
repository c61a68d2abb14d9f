// From what each component did to each object to the map: means, intervals, and how far the order can be trusted.
import type { Component, Rounding } from '../quantization/index.js';
import type { Entry } from './cache.js';
import type { Reliability, SignificanceMap } from './map.js';
import { type CriticalSet, type Measured, meansOf } from './measures.js';
import {
  type Kind,
  type MeasuredBits,
  type Perturbations,
  type Variant,
  variantName,
  variantsOf,
} from './perturb.js';
import { type PictureSums, resamples, splitHalf } from './statistics.js';

export interface SummaryParts {
  readonly model: string;
  readonly data: SignificanceMap['data'];
  readonly critical: CriticalSet;
  readonly criticality: SignificanceMap['critical'];
  readonly rounding: Rounding;
  readonly bits: readonly MeasuredBits[];
  readonly kinds: readonly Kind[];
  readonly components: readonly Component[];
  readonly perturbations: Perturbations;
  readonly rows: ReadonlyMap<string, ReadonlyMap<string, Entry>>;
  /** Pictures with objects. */
  readonly pictures: number;
}

type Components = SignificanceMap['components'];
type Weights = Components[string]['weights'];
type Activations = Components[string]['activations'];

const relative = ({ noise, signal }: { readonly noise: number; readonly signal: number }): number => {
  const ratio = noise === 0 ? 0 : Math.sqrt(noise / signal);
  // A layer of zeros that became something is as wrong as can be told.
  return Number.isFinite(ratio) ? ratio : 1;
};

const reliabilityOf = (measured: readonly Measured[]): Reliability => {
  const half = (pick: (one: Measured) => PictureSums | undefined): number | null | undefined => {
    const sums = measured.map(pick);
    return sums.includes(undefined) ? undefined : splitHalf(sums.filter((each) => each !== undefined));
  };
  const [signed, absolute, margin] = [
    half((one) => one.signed),
    half((one) => one.absolute),
    half((one) => one.margin),
  ];
  return {
    ...(signed !== undefined && { signed }),
    ...(absolute !== undefined && { absolute }),
    ...(margin !== undefined && { margin }),
    divergence: half((one) => one.divergence) ?? null,
    robust: half((one) => one.distances.critical) ?? null,
  };
};

/** The map. Components that reach no output of the head change nothing: they are zero in everything but their own errors. */
export const summarize = (parts: SummaryParts): SignificanceMap => {
  const { critical, perturbations, bits, kinds } = parts;
  const samples = resamples(parts.pictures);
  const zero = critical.measure(critical.rows);
  const all = new Map<string, Measured[]>();
  const measureOf = (component: Component, variant: Variant): readonly [Measured, Entry | undefined] => {
    const entry = parts.rows.get(component.name)?.get(variantName(variant));
    const measured = entry === undefined ? zero : critical.measure(entry.rows);
    const known = all.get(variantName(variant)) ?? [];
    all.set(variantName(variant), known);
    known.push(measured);
    return [measured, entry];
  };
  const components: Components = {};
  for (const component of parts.components) {
    const [weights, activations]: [Weights, Activations] = [{}, {}];
    for (const width of bits) {
      const key = `${width}` as const;
      const layer = perturbations.weights.get(component.name)?.get(width);
      if (layer !== undefined && kinds.includes('weights')) {
        const [measured, entry] = measureOf(component, { kind: 'weights', bits: width });
        weights[key] = {
          ...meansOf(measured, samples),
          outputError: entry === undefined ? 0 : relative(entry.errors.output),
          relativeWeightError: layer.relativeError,
        };
      }
      const hasGrid = perturbations.inputs.get(component.name)?.has(width) === true;
      if (hasGrid && kinds.includes('activations')) {
        const [measured, entry] = measureOf(component, { kind: 'activations', bits: width });
        activations[key] = {
          ...meansOf(measured, samples),
          outputError: entry === undefined ? 0 : relative(entry.errors.output),
          relativeInputError: entry === undefined ? 0 : relative(entry.errors.input),
        };
      }
    }
    components[component.name] = { weights, activations };
  }
  const reliability: SignificanceMap['reliability'] = { weights: {}, activations: {} };
  for (const { kind, bits: width } of variantsOf(bits, kinds)) {
    const measured = all.get(variantName({ kind, bits: width }));
    if (measured !== undefined) reliability[kind][`${width}`] = reliabilityOf(measured);
  }
  return {
    format: 'bitlane-significance',
    version: 2,
    model: parts.model,
    data: parts.data,
    granularity: 'layer',
    critical: parts.criticality,
    temperature: critical.temperature,
    rounding: parts.rounding,
    components,
    reliability,
  };
};
