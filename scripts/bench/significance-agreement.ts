// How near the forms of significance are to each other, in maps that were measured before: of a model as it comes, and of one that was fine-tuned.
import { basename } from 'node:path';
import { rankInterval, readSignificance, type WeightMeasures } from '../../src/significance/index.js';
import { census, type Figure } from './lib.js';

const BITS = ['4', '2'] as const;

const FORMS: Readonly<Record<string, (measures: WeightMeasures) => number | undefined>> = {
  signed: ({ signed }) => signed?.mean,
  absolute: ({ absolute }) => absolute,
  divergence: ({ divergence }) => divergence.mean,
  robust: ({ robust }) => robust.divergence.mean,
};
const PAIRS = [
  ['signed', 'divergence'],
  ['signed', 'robust'],
  ['signed', 'absolute'],
  ['absolute', 'divergence'],
  ['absolute', 'robust'],
] as const;

/** Rank correlations over the layers of each map, and what each form agrees with itself on halves of the objects. */
export const agreementFigures = (
  paths: readonly string[],
): { readonly figures: Figure[]; readonly about: Readonly<Record<string, unknown>> } => {
  const figures: Figure[] = [];
  const about: Record<string, unknown> = {};
  for (const path of paths) {
    const { model, data, critical, temperature, components, reliability } = readSignificance(path);
    const name = basename(path, '.json');
    about[name] = { model, data, objects: critical.objects, temperature };
    for (const bits of BITS) {
      const entries = Object.values(components).flatMap(({ weights }) => weights[bits] ?? []);
      const valuesOf = (form: string): number[] => entries.flatMap((entry) => FORMS[form]?.(entry) ?? []);
      for (const [a, b] of PAIRS) {
        const [first, second] = [valuesOf(a), valuesOf(b)];
        if (first.length < 2 || first.length !== second.length) continue;
        figures.push({
          name: `agreement.${name}.${a}-${b}.int${bits}`,
          unit: 'rank',
          ...rankInterval(first, second),
          runs: first.length,
        });
      }
      const signed = valuesOf('signed');
      if (signed.length === 0) continue;
      const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
      figures.push(
        census(
          `agreement.${name}.signedOverDivergence.int${bits}`,
          'ratio',
          sum(signed) / sum(valuesOf('divergence')),
          signed.length,
        ),
        census(
          `agreement.${name}.negative.int${bits}`,
          'share',
          signed.filter((value) => value < 0).length / signed.length,
          signed.length,
        ),
      );
      for (const form of ['signed', 'absolute', 'divergence', 'robust'] as const) {
        const half = reliability.weights[bits]?.[form];
        if (half === undefined || half === null) continue;
        figures.push(
          census(`agreement.${name}.splitHalf.${form}.int${bits}`, 'rank', half, critical.objects),
        );
      }
    }
  }
  return { figures, about };
};
