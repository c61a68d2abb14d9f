// The front as a picture: damage over the size of the file, a line for each time of a run.
import { escapeText, ticks } from '../../system/index.js';
import type { FrontPoint } from './front.js';

const [WIDTH, HEIGHT] = [760, 460];
const [LEFT, RIGHT, TOP, BOTTOM] = [76, 170, 36, 60];
const COLOURS = ['#1b6ca8', '#c8553d', '#3a7d44', '#8a5a9e', '#b08900', '#4a4a4a'];
/** Damage below this share of the largest is drawn as this. */
const LEAST = 1e-4;

/** Where the chosen allocation is. */
export interface PlotMark {
  readonly modelBytes: number;
  readonly damage: number;
  readonly label: string;
}

const round = (value: number): string => String(Math.round(value * 10) / 10);

const text = (x: number, y: number, content: string, more = ''): string =>
  `<text x="${round(x)}" y="${round(y)}" ${more}>${escapeText(content)}</text>`;

/** A complete SVG document. */
export const plotFront = (points: readonly FrontPoint[], title: string, mark?: PlotMark): string => {
  const sizes = [...points.map(({ modelBytes }) => modelBytes), ...(mark ? [mark.modelBytes] : [])];
  const [low, high] = sizes.length === 0 ? [0, 1] : [Math.min(...sizes), Math.max(...sizes)];
  const worst = Math.max(...points.map(({ damage }) => damage), mark?.damage ?? 0) || 1;
  const bottom = HEIGHT - BOTTOM;
  const x = (bytes: number): number =>
    LEFT + ((bytes - low) / Math.max(high - low, 1)) * (WIDTH - LEFT - RIGHT);
  const decades = -Math.log10(LEAST);
  const y = (damage: number): number =>
    TOP + (-Math.log10(Math.max(damage / worst, LEAST)) / decades) * (bottom - TOP);
  const grid = [
    ...ticks(low / 1000, high / 1000).map(
      (kilobytes) =>
        `<line x1="${round(x(kilobytes * 1000))}" x2="${round(x(kilobytes * 1000))}" y1="${TOP}" y2="${bottom}" class="grid"/>` +
        text(x(kilobytes * 1000), bottom + 18, String(Math.round(kilobytes)), 'text-anchor="middle"'),
    ),
    ...Array.from({ length: decades + 1 }, (_, i) => {
      const at = y(worst * 10 ** -i);
      const label = i === decades ? `${10 ** -i} or less` : String(10 ** -i);
      return `<line x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${round(at)}" y2="${round(at)}" class="grid"/>${text(LEFT - 8, at + 4, label, 'text-anchor="end"')}`;
    }),
  ];
  const limits = [...new Set(points.map((point) => point.limits.latencyMs))].sort(
    (a, b) => (a ?? Infinity) - (b ?? Infinity),
  );
  const lines = limits.map((limit, i) => {
    const colour = COLOURS[i % COLOURS.length] ?? '#000';
    const own = points.filter((point) => point.limits.latencyMs === limit);
    const path = own.map(({ modelBytes, damage }) => `${round(x(modelBytes))},${round(y(damage))}`);
    const label = limit === undefined ? 'any time' : `up to ${limit.toFixed(2)} ms`;
    return [
      `<polyline points="${path.join(' ')}" fill="none" stroke="${colour}" stroke-width="2"/>`,
      ...path.map((at) => {
        const [cx = '0', cy = '0'] = at.split(',');
        return `<circle cx="${cx}" cy="${cy}" r="3" fill="${colour}"/>`;
      }),
      limits.length > 1
        ? `<line x1="${WIDTH - RIGHT + 16}" x2="${WIDTH - RIGHT + 40}" y1="${TOP + 12 + 20 * i}" y2="${TOP + 12 + 20 * i}" stroke="${colour}" stroke-width="2"/>${text(WIDTH - RIGHT + 46, TOP + 16 + 20 * i, label)}`
        : '',
    ].join('');
  });
  const chosen =
    mark === undefined
      ? ''
      : `<path d="M ${round(x(mark.modelBytes))} ${round(y(mark.damage) - 8)} l 7 8 l -7 8 l -7 -8 z" fill="none" stroke="#000" stroke-width="2"/>` +
        text(x(mark.modelBytes) + 10, y(mark.damage) - 8, mark.label);
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" width="${WIDTH}" height="${HEIGHT}" font-family="sans-serif" font-size="12">`,
    '<style>.grid { stroke: #ddd }</style>',
    `<rect width="${WIDTH}" height="${HEIGHT}" fill="#fff"/>`,
    text(LEFT, 22, title, 'font-size="15"'),
    ...grid,
    ...lines,
    chosen,
    text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 18, 'model file, kB', 'text-anchor="middle"'),
    text(
      18,
      (TOP + bottom) / 2,
      'expected damage, share of the worst',
      `text-anchor="middle" transform="rotate(-90 18 ${round((TOP + bottom) / 2)})"`,
    ),
    '</svg>',
    '',
  ].join('\n');
};
