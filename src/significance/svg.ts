// A picture of the map over the network: layers from left to right, a row of bars for each bit-width, the most significant ones named.
import { escapeText, fixed, textAt } from '../system/index.js';
import type { MapBits, SignificanceMap } from './map.js';

/** What is drawn: one kind of rounding. */
type Side = 'weights' | 'activations';

interface Bar {
  readonly name: string;
  readonly value: number;
  readonly low: number;
  readonly high: number;
}

const WIDTH = 1280;
const LEFT = 92;
const RIGHT = 24;
const HEAD = 104;
const ROW = 190;
const GAP = 46;
const FOOT = 84;
const NAMED = 10;
/** From hardly significant to most. */
export const SCALE = ['#dfe7ef', '#b3cde3', '#fdd49e', '#fc8d59', '#d7301f', '#7f0000'] as const;

/** Two digits that count. */
export const short = (value: number): string =>
  value === 0
    ? '0'
    : value >= 0.001 && value < 1000
      ? String(Number(value.toPrecision(2)))
      : value.toExponential(0);

/** Divergences span decades: heights are logarithmic, from the highest down four decades. */
const DECADES = 4;

const heightOf = (value: number, most: number): number =>
  value <= 0 ? 0 : Math.max(0, 1 + Math.log10(value / most) / DECADES);

export const colourOf = (share: number): string =>
  SCALE[Math.min(SCALE.length - 1, Math.floor(share * SCALE.length))] ?? SCALE[0];

const barsOf = (map: SignificanceMap, side: Side, bits: MapBits): Bar[] =>
  Object.entries(map.components).map(([name, entry]) => {
    const divergence = entry[side][bits]?.robust.divergence;
    return { name, value: divergence?.mean ?? 0, low: divergence?.low ?? 0, high: divergence?.high ?? 0 };
  });

const bitsOf = (map: SignificanceMap, side: Side): MapBits[] =>
  (['2', '4', '8'] as const).filter((bits) =>
    Object.values(map.components).some((entry) => entry[side][bits] !== undefined),
  );

/** One row of bars with its axis, and the names of its ten highest. */
const rowOf = (map: SignificanceMap, side: Side, bits: MapBits, top: number, most: number): string => {
  const bars = barsOf(map, side, bits);
  const step = (WIDTH - LEFT - RIGHT) / Math.max(1, bars.length);
  const bottom = top + ROW;
  const y = (value: number): number => bottom - heightOf(value, most) * (ROW - 30);
  const lines: string[] = [];
  const reliability = map.reliability[side][bits]?.robust;
  const trust =
    reliability === null || reliability === undefined
      ? ''
      : `, order reproducible to ${reliability.toFixed(2)}`;
  lines.push(textAt(LEFT, top - 8, `${side} at ${bits} bits${trust}`, ' class="row"'));
  for (let decade = 0; decade <= DECADES; decade++) {
    const value = most / 10 ** decade;
    lines.push(
      `<line class="grid" x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${fixed(y(value))}" y2="${fixed(y(value))}"/>`,
      textAt(LEFT - 8, y(value) + 4, short(value), ' class="axis" text-anchor="end"'),
    );
  }
  const ranked = bars.map((bar, index) => ({ ...bar, index })).sort((a, b) => b.value - a.value);
  const named = new Map(
    ranked.slice(0, NAMED).flatMap(({ index, value }, rank) => (value > 0 ? [[index, rank + 1]] : [])),
  );
  for (const [index, { name, value, low, high }] of bars.entries()) {
    const x = LEFT + index * step;
    const height = bottom - y(value);
    const share = heightOf(value, most);
    lines.push(
      `<g><title>${escapeText(`${name}: ${short(value)} (95 %: ${short(low)} to ${short(high)})`)}</title>` +
        `<rect x="${fixed(x + 0.1 * step)}" y="${fixed(y(value))}" width="${fixed(0.8 * step)}" height="${fixed(Math.max(1, height))}" fill="${colourOf(share)}"/></g>`,
    );
    const rank = named.get(index);
    if (rank !== undefined) {
      lines.push(textAt(x + step / 2, y(value) - 4, String(rank), ' class="rank" text-anchor="middle"'));
    }
  }
  const names = ranked.slice(0, NAMED).filter(({ value }) => value > 0);
  lines.push(
    textAt(
      LEFT,
      bottom + 18,
      names.map(({ name }, rank) => `${rank + 1} ${name}`).join('   '),
      ' class="names"',
    ),
  );
  return lines.join('\n');
};

const legend = (y: number): string => {
  const size = 26;
  const cells = SCALE.map(
    (colour, i) => `<rect x="${LEFT + i * size}" y="${y}" width="${size}" height="12" fill="${colour}"/>`,
  );
  return [
    ...cells,
    textAt(
      LEFT + SCALE.length * size + 10,
      y + 11,
      'colour and height: what rounding this layer alone does to the critical classes (mean KL divergence, logarithmic)',
      ' class="axis"',
    ),
  ].join('\n');
};

/**
 * The map as an SVG picture: layers in the network's order; a bar's height and colour say how far the model's mind about the critical
 * classes moves when that layer alone is rounded. Bars of one kind share an axis, so that bit-widths can be compared.
 */
export const drawMap = (map: SignificanceMap): string => {
  const rows = (['weights', 'activations'] as const).flatMap((side) => {
    const bits = bitsOf(map, side);
    const most = Math.max(
      ...bits.flatMap((width) => barsOf(map, side, width).map(({ value }) => value)),
      1e-9,
    );
    return bits.map((width) => ({ side, width, most }));
  });
  const height = HEAD + rows.length * (ROW + GAP) + FOOT;
  const { groups, objects, labelled } = map.critical;
  const title = `Which layers tell ${groups.map((group) => group.join(' / ')).join('; ')} apart`;
  const count = Object.keys(map.components).length;
  const about =
    `model ${map.model.slice(0, 12)}, ${count} layers; ${objects} critical objects ${labelled ? 'with labels' : 'as the model sees them'} ` +
    `in ${map.data.pictures} pictures of ${map.data.name.split('/').slice(-2).join('/')} (${map.data.split}); rounding ${map.rounding}`;
  const bottom = HEAD + rows.length * (ROW + GAP);
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" role="img" font-family="sans-serif">`,
    `<title>${escapeText(title)}</title>`,
    '<style>text{fill:#222;font-size:12px}.title{font-size:22px;font-weight:bold}.row{font-size:14px;font-weight:bold}' +
      '.axis{fill:#555;font-size:11px}.names{font-size:11px}.rank{font-size:10px;font-weight:bold}.grid{stroke:#e4e4e4}</style>',
    `<rect width="${WIDTH}" height="${height}" fill="#fff"/>`,
    textAt(LEFT, 38, title, ' class="title"'),
    textAt(LEFT, 60, about),
    ...rows.map(({ side, width, most }, index) => rowOf(map, side, width, HEAD + index * (ROW + GAP), most)),
    textAt(LEFT, bottom + 14, 'input of the network', ' class="axis"'),
    textAt(WIDTH - RIGHT, bottom + 14, 'output', ' class="axis" text-anchor="end"'),
    `<line x1="${LEFT + 130}" x2="${WIDTH - RIGHT - 48}" y1="${bottom + 10}" y2="${bottom + 10}" stroke="#999"/>`,
    legend(bottom + 34),
    '</svg>',
    '',
  ].join('\n');
};
