// A picture of a map by filter: a column a layer, its filters from the most significant down, and how few of them hold how much.
import { escapeText, fixed, textAt } from '../../system/index.js';
import type { MapBits } from '../map.js';
import { colourOf, SCALE, short } from '../svg.js';
import type { FilterMap } from './filter-map.js';

const WIDTH = 1280;
const LEFT = 92;
const RIGHT = 24;
const HEAD = 104;
const ROW = 210;
const GAP = 74;
const FOOT = 70;
/** Cells of a column: filters that stand next to each other share one. */
const CELLS = 28;
const CURVE = 190;
const NAMED = 8;
/** Colours go from the highest value down so many decades. */
const DECADES = 6;

interface Layer {
  readonly name: string;
  readonly values: readonly number[];
}

const layersAt = (map: FilterMap, bits: MapBits): Layer[] =>
  Object.entries(map.components).map(([name, { weights }]) => ({
    name,
    values: weights[bits]?.robust ?? [],
  }));

const shareOf = (value: number, most: number): number =>
  value <= 0 ? 0 : Math.max(0, 1 + Math.log10(value / most) / DECADES);

const meanOf = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length);

/** One layer: the mean of each group of filters that are next to each other in size. */
const column = (layer: Layer, x: number, width: number, top: number, most: number): string => {
  const sorted = [...layer.values].sort((a, b) => b - a);
  const count = Math.min(CELLS, sorted.length);
  const cells = Array.from({ length: count }, (_, i) => {
    const own = sorted.slice(
      Math.floor((i * sorted.length) / count),
      Math.floor(((i + 1) * sorted.length) / count),
    );
    const height = ROW / count;
    return `<rect x="${fixed(x)}" y="${fixed(top + i * height)}" width="${fixed(width)}" height="${fixed(height + 0.2)}" fill="${colourOf(shareOf(meanOf(own), most))}"/>`;
  });
  const title = `${layer.name}: ${sorted.length} filters, ${short(sorted[0] ?? 0)} to ${short(sorted.at(-1) ?? 0)}, together ${short(sorted.reduce((a, b) => a + b, 0))}`;
  return `<g><title>${escapeText(title)}</title>${cells.join('')}</g>`;
};

/** Which share of all divergence the most significant filters hold. */
const concentration = (layers: readonly Layer[], x: number, top: number): string => {
  const sorted = layers.flatMap(({ values }) => [...values]).sort((a, b) => b - a);
  const all = sorted.reduce((a, b) => a + b, 0);
  if (all === 0) return '';
  const points: string[] = [];
  let [sum, half] = [0, sorted.length];
  for (const [i, value] of sorted.entries()) {
    sum += value;
    if (sum >= all / 2) half = Math.min(half, i + 1);
    if (i % Math.max(1, Math.floor(sorted.length / 120)) === 0 || i === sorted.length - 1) {
      points.push(
        `${fixed(x + ((i + 1) / sorted.length) * CURVE)},${fixed(top + ROW - (sum / all) * (ROW - 24))}`,
      );
    }
  }
  return [
    `<rect x="${x}" y="${top + 24}" width="${CURVE}" height="${ROW - 24}" fill="#f6f7f9"/>`,
    `<polyline points="${x},${top + ROW} ${points.join(' ')}" fill="none" stroke="#b30000" stroke-width="2"/>`,
    textAt(x, top + 12, `${short((100 * half) / sorted.length)} % of the filters hold half`, ' class="axis"'),
    textAt(x, top + ROW + 14, 'share of filters', ' class="axis"'),
    textAt(x + CURVE, top + ROW + 14, '100 %', ' class="axis" text-anchor="end"'),
  ].join('\n');
};

const rowOf = (map: FilterMap, bits: MapBits, top: number, most: number): string => {
  const layers = layersAt(map, bits);
  const width = WIDTH - LEFT - RIGHT - CURVE - 40;
  const step = width / Math.max(1, layers.length);
  const trust = map.reliability.weights[bits]?.robust;
  const named = layers
    .flatMap(({ name, values }) => values.map((value, channel) => ({ name, value, channel })))
    .sort((a, b) => b.value - a.value)
    .slice(0, NAMED)
    .filter(({ value }) => value > 0);
  return [
    textAt(
      LEFT,
      top - 8,
      `weights at ${bits} bits${trust === null || trust === undefined ? '' : `, order reproducible to ${trust.toFixed(2)}`}`,
      ' class="row"',
    ),
    textAt(LEFT - 8, top + 12, 'most', ' class="axis" text-anchor="end"'),
    textAt(LEFT - 8, top + 26, 'significant', ' class="axis" text-anchor="end"'),
    textAt(LEFT - 8, top + ROW - 4, 'least', ' class="axis" text-anchor="end"'),
    ...layers.map((layer, index) => column(layer, LEFT + index * step, 0.9 * step, top, most)),
    concentration(layers, WIDTH - RIGHT - CURVE, top),
    textAt(
      LEFT,
      top + ROW + 34,
      named.map(({ name, channel }) => `${name} filter ${channel}`).join('   '),
      ' class="names"',
    ),
  ].join('\n');
};

const legend = (y: number, most: number): string => {
  const size = 26;
  return [
    ...SCALE.map(
      (colour, i) => `<rect x="${LEFT + i * size}" y="${y}" width="${size}" height="12" fill="${colour}"/>`,
    ),
    textAt(
      LEFT + SCALE.length * size + 10,
      y + 11,
      `what rounding a filter alone does to the critical classes, a colour for each ${DECADES / SCALE.length} decade${DECADES === SCALE.length ? '' : 's'} up to ${short(most)} (4 times the mean squared Hellinger distance)`,
      ' class="axis"',
    ),
  ].join('\n');
};

/**
 * The map as an SVG picture: layers in the network's order from left to right, each a column of its filters from the most significant
 * down; beside them how much of all significance the most significant filters hold. Bit-widths share their colours.
 */
export const drawFilterMap = (map: FilterMap): string => {
  const widths = (['2', '4', '8'] as const).filter((bits) =>
    Object.values(map.components).some(({ weights }) => weights[bits] !== undefined),
  );
  const all = widths.flatMap((bits) => layersAt(map, bits).flatMap(({ values }) => [...values]));
  const most = all.reduce((a, b) => Math.max(a, b), 1e-12);
  const height = HEAD + widths.length * (ROW + GAP) + FOOT;
  const { groups, objects, labelled } = map.critical;
  const title = `Which filters tell ${groups.map((group) => group.join(' / ')).join('; ')} apart`;
  const filters = Object.values(map.components).reduce(
    (sum, { weights }) => sum + (Object.values(weights)[0]?.divergence.length ?? 0),
    0,
  );
  const exact = Object.values(map.exact).reduce((sum, { length }) => sum + length, 0);
  const about =
    `model ${map.model.slice(0, 12)}, ${filters} filters, ${exact} of them measured exactly; ${objects} critical objects ` +
    `${labelled ? 'with labels' : 'as the model sees them'} in ${map.data.pictures} pictures of ` +
    `${map.data.name.split('/').slice(-2).join('/')} (${map.data.split}); rounding ${map.rounding}`;
  const bottom = HEAD + widths.length * (ROW + GAP);
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" role="img" font-family="sans-serif">`,
    `<title>${escapeText(title)}</title>`,
    '<style>text{fill:#222;font-size:12px}.title{font-size:22px;font-weight:bold}.row{font-size:14px;font-weight:bold}' +
      '.axis{fill:#555;font-size:11px}.names{font-size:11px}</style>',
    `<rect width="${WIDTH}" height="${height}" fill="#fff"/>`,
    textAt(LEFT, 38, title, ' class="title"'),
    textAt(LEFT, 60, about),
    ...widths.map((bits, index) => rowOf(map, bits, HEAD + index * (ROW + GAP), most)),
    textAt(LEFT, bottom, 'input of the network', ' class="axis"'),
    textAt(WIDTH - RIGHT - CURVE - 40, bottom, 'output', ' class="axis" text-anchor="end"'),
    legend(bottom + 24, most),
    '</svg>',
    '',
  ].join('\n');
};
