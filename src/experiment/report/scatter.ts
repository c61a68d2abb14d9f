// Rows as points: how good over how large, or how slow.
import { escapeText, fixed, textAt, ticks } from '../../system/index.js';

export interface Point {
  readonly x: number;
  readonly y: number;
  /** 95 % interval of `y`. */
  readonly low: number;
  readonly high: number;
  readonly label: string;
  readonly group: string;
}

const [WIDTH, HEIGHT] = [860, 460];
const [LEFT, RIGHT, TOP, BOTTOM] = [70, 190, 40, 54];
const COLOURS = ['#222222', '#1b6ca8', '#8a5a9e', '#3a7d44', '#b08900', '#c8553d', '#d7301f'];

const rangeOf = (values: readonly number[]): [number, number] => {
  const known = values.filter(Number.isFinite);
  if (known.length === 0) return [0, 1];
  const [low, high] = [Math.min(...known), Math.max(...known)];
  // One point alone has room around it, too.
  const room = Math.max((high - low) * 0.06, Math.abs(high) * 0.01, 1e-6);
  return [low - room, high + room];
};

/** A complete SVG document. A point says its name when it is pointed at; its line is its 95 % interval. */
export const drawScatter = (
  points: readonly Point[],
  { title, xLabel, yLabel }: { readonly title: string; readonly xLabel: string; readonly yLabel: string },
): string => {
  const shown = points.filter(({ x, y }) => Number.isFinite(x) && Number.isFinite(y));
  const [left, right] = rangeOf(shown.map(({ x }) => x));
  const [bottom, top] = rangeOf(shown.flatMap(({ y, low, high }) => [y, low, high]));
  const xOf = (x: number): number => LEFT + ((x - left) / (right - left)) * (WIDTH - LEFT - RIGHT);
  const yOf = (y: number): number => TOP + (1 - (y - bottom) / (top - bottom)) * (HEIGHT - TOP - BOTTOM);
  const groups = [...new Set(points.map(({ group }) => group))];
  const colourOf = (group: string): string => COLOURS[groups.indexOf(group) % COLOURS.length] ?? '#000';
  const grid = [
    ...ticks(left, right).map(
      (x) =>
        `<line x1="${fixed(xOf(x))}" x2="${fixed(xOf(x))}" y1="${TOP}" y2="${HEIGHT - BOTTOM}" stroke="#eee"/>${textAt(xOf(x), HEIGHT - BOTTOM + 18, String(Number(x.toPrecision(6))), ' text-anchor="middle"')}`,
    ),
    ...ticks(bottom, top).map(
      (y) =>
        `<line x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${fixed(yOf(y))}" y2="${fixed(yOf(y))}" stroke="#eee"/>${textAt(LEFT - 8, yOf(y) + 4, String(Number(y.toPrecision(4))), ' text-anchor="end"')}`,
    ),
  ];
  const marks = shown.map(({ x, y, low, high, label, group }) => {
    const colour = colourOf(group);
    const bar =
      Number.isFinite(low) && Number.isFinite(high)
        ? `<line x1="${fixed(xOf(x))}" x2="${fixed(xOf(x))}" y1="${fixed(yOf(low))}" y2="${fixed(yOf(high))}" stroke="${colour}" stroke-opacity="0.35"/>`
        : '';
    return `${bar}<circle cx="${fixed(xOf(x))}" cy="${fixed(yOf(y))}" r="5" fill="${colour}" fill-opacity="0.8"><title>${escapeText(label)}</title></circle>`;
  });
  const legend = groups.map(
    (group, i) =>
      `<circle cx="${WIDTH - RIGHT + 22}" cy="${TOP + 10 + 20 * i}" r="5" fill="${colourOf(group)}"/>${textAt(WIDTH - RIGHT + 34, TOP + 14 + 20 * i, group)}`,
  );
  const middle = (TOP + HEIGHT - BOTTOM) / 2;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" width="${WIDTH}" font-family="sans-serif" font-size="12" role="img">`,
    `<title>${escapeText(title)}</title>`,
    `<rect width="${WIDTH}" height="${HEIGHT}" fill="#fff"/>`,
    textAt(LEFT, 22, title, ' font-size="15"'),
    ...grid,
    ...marks,
    ...legend,
    textAt((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 12, xLabel, ' text-anchor="middle"'),
    `<text x="18" y="${fixed(middle)}" text-anchor="middle" transform="rotate(-90 18 ${fixed(middle)})">${escapeText(yLabel)}</text>`,
    '</svg>',
  ].join('\n');
};
