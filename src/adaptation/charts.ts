// Pictures of a report: a confusion matrix, and where the bits went.
import type { ConfusionMatrix } from '../evaluation/index.js';
import { type Allocation, type Component, channelBits } from '../quantization/index.js';
import { escapeText, fixed, textAt } from '../system/index.js';

const svg = (width: number, height: number, title: string, parts: readonly string[]): string =>
  [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" font-family="sans-serif" font-size="12" role="img">`,
    `<title>${escapeText(title)}</title>`,
    ...parts,
    '</svg>',
  ].join('\n');

const CELL = 54;
const LABELS = 96;
const HEAD = 64;

/** White to blue for what is right, white to red for what is not. */
const shade = (share: number, isRight: boolean): string => {
  const strength = Math.sqrt(Math.min(1, Math.max(0, share)));
  const [red, green, blue] = isRight ? [33, 102, 172] : [178, 24, 43];
  const mix = (full: number): number => Math.round(255 + (full - 255) * strength);
  return `rgb(${mix(red)},${mix(green)},${mix(blue)})`;
};

/** Rows are the truth, columns what it was taken for; colours are shares of a row, numbers are counts. */
export const drawConfusion = ({ classes, counts }: ConfusionMatrix, title: string): string => {
  const labels = [...classes, 'background'];
  const size = labels.length * CELL;
  const parts = [textAt(LABELS, 16, title, ' font-weight="bold"')];
  labels.forEach((label, column) => {
    const x = LABELS + (column + 0.5) * CELL;
    parts.push(textAt(x, HEAD - 8, label.slice(0, 10), ' text-anchor="middle" font-size="10"'));
  });
  counts.forEach((row, truth) => {
    const total = row.reduce((sum, count) => sum + count, 0);
    const y = HEAD + truth * CELL;
    parts.push(
      textAt(LABELS - 8, y + CELL / 2 + 4, (labels[truth] ?? '').slice(0, 14), ' text-anchor="end"'),
    );
    row.forEach((count, predicted) => {
      const x = LABELS + predicted * CELL;
      const share = total === 0 ? 0 : count / total;
      const isDark = share > 0.35;
      parts.push(
        `<rect x="${x}" y="${y}" width="${CELL - 1}" height="${CELL - 1}" fill="${shade(share, truth === predicted)}"/>`,
        textAt(
          x + CELL / 2,
          y + CELL / 2 + 4,
          String(count),
          ` text-anchor="middle" fill="${isDark ? '#fff' : '#222'}"`,
        ),
      );
    });
  });
  return svg(LABELS + size + 8, HEAD + size + 8, title, parts);
};

const COLOURS: Readonly<Record<number, string>> = {
  2: '#fdd49e',
  4: '#fc8d59',
  8: '#d7301f',
  32: '#7f0000',
};
const WIDTH = 1280;
const [LEFT, RIGHT, TOP, BAR, FOOT] = [92, 24, 56, 180, 40];
const WIDTHS = [2, 4, 8, 32] as const;

/** A bar a layer: as high as its bits are many (by powers of two), as wide as its share of the weights says, at least a little. */
export const drawAllocation = (
  components: readonly Component[],
  allocation: Allocation,
  title: string,
): string => {
  const bottom = TOP + BAR;
  const inner = WIDTH - LEFT - RIGHT;
  const step = inner / Math.max(1, components.length);
  const heightOf = (bits: number): number => (Math.log2(bits) / 5) * BAR;
  const parts = [textAt(LEFT, 20, title, ' font-weight="bold"')];
  for (const bits of WIDTHS) {
    const y = bottom - heightOf(bits);
    parts.push(
      `<line x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${fixed(y)}" y2="${fixed(y)}" stroke="#ddd"/>`,
      textAt(LEFT - 8, y + 4, bits === 32 ? 'FP32' : `${bits} bits`, ' text-anchor="end"'),
    );
  }
  components.forEach((component, index) => {
    const entry = allocation.components[component.name];
    if (entry === undefined) return;
    const widths = channelBits(component, entry);
    const mean = widths.reduce((sum: number, bits) => sum + bits, 0) / Math.max(1, widths.length);
    const nearest = WIDTHS.reduce((best, bits) =>
      Math.abs(bits - mean) < Math.abs(best - mean) ? bits : best,
    );
    const height = heightOf(Math.max(2, mean));
    const x = LEFT + index * step;
    const label = `${component.name}: ${mean === 32 ? 'FP32' : `${fixed(mean)} bits`}, runs in ${entry.execution}`;
    parts.push(
      `<rect x="${fixed(x)}" y="${fixed(bottom - height)}" width="${fixed(Math.max(1, step - 1))}" height="${fixed(height)}" fill="${COLOURS[nearest] ?? '#888'}"><title>${escapeText(label)}</title></rect>`,
    );
    if (entry.execution === 'int8') {
      parts.push(
        `<rect x="${fixed(x)}" y="${bottom + 3}" width="${fixed(Math.max(1, step - 1))}" height="5" fill="#2166ac"/>`,
      );
    }
  });
  parts.push(
    textAt(
      LEFT,
      bottom + FOOT - 14,
      'layers in the order of the network; blue below: runs in int8 kernels',
      ' fill="#555"',
    ),
  );
  return svg(WIDTH, bottom + FOOT, title, parts);
};
