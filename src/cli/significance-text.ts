// What people read of significance maps.
import type { Artifact } from '../registry/index.js';
import type { FilterMap } from '../significance/index.js';
import { alignColumns } from './values.js';

const SHOWN = 10;
/** Below this the order of components is mostly chance. */
const TRUSTED = 0.85;
const WIDTHS = ['2', '4', '8'] as const;

export const three = (value: number | null | undefined): string =>
  value === null || value === undefined ? '-' : value.toFixed(3);

/** Three digits that count: effects span decades. */
export const short = (value: number): string => String(Number(value.toPrecision(3)));

type Trust = Readonly<
  Partial<Record<(typeof WIDTHS)[number], { readonly robust: number | null } | undefined>>
>;

/** Where the order of components cannot be trusted. */
export const unreliableNotes = (
  reliability: Readonly<Partial<Record<'weights' | 'activations', Trust>>>,
  what: string,
): string[] => {
  const low = (['weights', 'activations'] as const).flatMap((side) =>
    WIDTHS.flatMap((bits) => {
      const robust = reliability[side]?.[bits]?.robust ?? 1;
      return robust < TRUSTED ? [`${side} at ${bits} bits`] : [];
    }),
  );
  return low.length === 0
    ? []
    : [
        `the order of ${what} is not reliable (split-half rank correlation below ${TRUSTED}) for ${low.join(', ')}: take more pictures`,
      ];
};

/** A map by filter. */
export const filterText = (map: FilterMap, artifact: Artifact, notes: readonly string[]): string => {
  const { critical } = map;
  const lines = [
    `${artifact.manifest.name} (${artifact.id.slice(0, 12)}): ${critical.objects} critical objects of ${critical.allObjects}, in ${map.data.pictures} pictures`,
    `  critical     ${critical.pairs.map((pair) => pair.join(' / ')).join(', ')}`,
    `  temperature  ${three(map.temperature)}${critical.labelled ? ', fitted' : ''}`,
  ];
  for (const bits of WIDTHS) {
    const trust = map.reliability.weights[bits];
    if (trust === undefined) continue;
    const filters = Object.entries(map.components).flatMap(([name, { weights }]) => {
      const measures = weights[bits];
      return measures === undefined
        ? []
        : measures.robust.map((robust, channel) => ({
            name,
            channel,
            robust,
            divergence: measures.divergence[channel] ?? 0,
            signed: measures.signed?.[channel],
            isExact: map.exact[name]?.includes(channel) === true,
          }));
    });
    const ranked = [...filters].sort((a, b) => b.robust - a.robust).slice(0, SHOWN);
    lines.push(
      '',
      `weights at ${bits} bits, ${filters.length} filters; split-half rank correlation: robust ${three(trust.robust)}, divergence ${three(trust.divergence)}` +
        (trust.signed === undefined ? '' : `, signed ${three(trust.signed)}`) +
        `; estimates and exact values: ${three(map.agreement[bits]?.divergence)}`,
      ...alignColumns([
        ['layer', 'filter', 'robust', 'divergence', 'signed', ''],
        ...ranked.map(({ name, channel, robust, divergence, signed, isExact }) => [
          name,
          String(channel),
          short(robust),
          short(divergence),
          signed === undefined ? '-' : short(signed),
          isExact ? 'exact' : 'estimated',
        ]),
      ]),
    );
  }
  return [...lines, ...notes.map((note) => `note: ${note}`)].join('\n');
};
