// Parts of SVG pictures that every drawing needs.

/** Text as an SVG may hold it: no markup, no control characters. */
export const escapeText = (text: string): string =>
  text.replace(/[&<>"']/g, (sign) => `&#${sign.codePointAt(0) ?? 0};`).replace(/\p{Cc}/gu, ' ');

/** A length as an SVG holds it. */
export const fixed = (value: number): string => value.toFixed(1);

export const textAt = (x: number, y: number, text: string, more = ''): string =>
  `<text x="${fixed(x)}" y="${fixed(y)}"${more}>${escapeText(text)}</text>`;

/** Ticks of a linear axis: 1, 2 or 5 times a power of ten apart. */
export const ticks = (low: number, high: number): number[] => {
  const rough = Math.max(high - low, 1e-12) / 6;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5, 10].find((factor) => factor * power >= rough) ?? 10);
  const first = Math.ceil(low / step);
  return Array.from({ length: Math.floor(high / step) - first + 1 }, (_, i) => (first + i) * step);
};
