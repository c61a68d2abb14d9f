// A run as a picture: the loss over the steps, and what validation said.
import { escapeText, fixed, textAt, ticks } from '../../system/index.js';
import type { History } from './history.js';

const [WIDTH, HEIGHT] = [900, 420];
const [LEFT, RIGHT, TOP, BOTTOM] = [64, 64, 48, 48];
/** The smooth line is the mean of so large a share of the run. */
const SMOOTH = 1 / 40;
const LOSS = '#1b6ca8';
const FIGURE = '#c8553d';

/** Running means over `window` values. */
const smoothed = (values: readonly number[], window: number): number[] =>
  values.map((_, i) => {
    const part = values.slice(Math.max(0, i - window + 1), i + 1);
    return part.reduce((sum, value) => sum + value, 0) / part.length;
  });

const line = (points: readonly (readonly [number, number])[], more: string): string =>
  points.length === 0
    ? ''
    : `<polyline points="${points.map(([x, y]) => `${fixed(x)},${fixed(y)}`).join(' ')}" fill="none" ${more}/>`;

/** A complete SVG document: the loss on the left axis, mAP50 of the validation pictures on the right one. */
export const drawCurve = ({ steps, validations }: History, title: string): string => {
  const last = Math.max(1, ...steps.map(({ step }) => step));
  const losses = steps.map(({ loss }) => loss);
  // The first steps of a run from scratch are far above everything that is worth seeing.
  const sorted = [...losses].sort((a, b) => a - b);
  const most = Math.max(1e-9, sorted[Math.floor(0.99 * (sorted.length - 1))] ?? 1);
  const bottom = HEIGHT - BOTTOM;
  const x = (step: number): number => LEFT + (step / last) * (WIDTH - LEFT - RIGHT);
  const y = (share: number): number => bottom - Math.min(1, Math.max(0, share)) * (bottom - TOP);
  const smooth = smoothed(losses, Math.max(1, Math.round(losses.length * SMOOTH)));
  const onLoss = (values: readonly number[]): (readonly [number, number])[] =>
    values.map((value, i) => [x(steps[i]?.step ?? 0), y(value / most)]);
  const judged = validations.map(({ step, map50 }): readonly [number, number] => [x(step), y(map50)]);
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" width="${WIDTH}" font-family="sans-serif" font-size="12" role="img">`,
    `<title>${escapeText(title)}</title>`,
    '<style>.grid { stroke: #ddd }</style>',
    `<rect width="${WIDTH}" height="${HEIGHT}" fill="#fff"/>`,
    textAt(LEFT, 22, title, ' font-size="15"'),
    ...ticks(0, most).map(
      (value) =>
        `<line x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${fixed(y(value / most))}" y2="${fixed(y(value / most))}" class="grid"/>` +
        textAt(
          LEFT - 8,
          y(value / most) + 4,
          String(Number(value.toPrecision(3))),
          ` text-anchor="end" fill="${LOSS}"`,
        ),
    ),
    ...ticks(0, last).map((step) => textAt(x(step), bottom + 18, String(step), ' text-anchor="middle"')),
    ...(judged.length === 0
      ? []
      : [0, 0.25, 0.5, 0.75, 1].map((value) =>
          textAt(WIDTH - RIGHT + 8, y(value) + 4, value.toFixed(2), ` fill="${FIGURE}"`),
        )),
    line(onLoss(losses), `stroke="${LOSS}" stroke-opacity="0.25"`),
    line(onLoss(smooth), `stroke="${LOSS}" stroke-width="2"`),
    line(judged, `stroke="${FIGURE}" stroke-width="2"`),
    ...judged.map(([cx, cy]) => `<circle cx="${fixed(cx)}" cy="${fixed(cy)}" r="3" fill="${FIGURE}"/>`),
    textAt((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 10, 'steps', ' text-anchor="middle"'),
    textAt(LEFT, TOP - 10, 'loss', ` fill="${LOSS}" text-anchor="end"`),
    judged.length === 0 ? '' : textAt(WIDTH - RIGHT, TOP - 10, 'mAP50', ` fill="${FIGURE}"`),
    '</svg>',
    '',
  ].join('\n');
};
