// From samples to pixels: the mean of two by two.

const EVEN = 0x00ff00ff;

/** Averages rows `first` to `end` (of the pixels) between the columns `from` and `to`. Widths are those of the samples. */
export const halveSpan = (
  samples: Uint32Array,
  width: number,
  row: number,
  from: number,
  to: number,
  pixels: Uint32Array,
): void => {
  let above = row * 2 * width + from * 2;
  let at = (row * width) / 2 + from;
  const end = (row * width) / 2 + to;
  for (; at < end; at += 1, above += 2) {
    const a = samples[above] as number;
    const b = samples[above + 1] as number;
    const c = samples[above + width] as number;
    const d = samples[above + width + 1] as number;
    const ends = ((a & EVEN) + (b & EVEN) + (c & EVEN) + (d & EVEN) + 0x00020002) >>> 2;
    const middle = (((a >>> 8) & 0xff) + ((b >>> 8) & 0xff) + ((c >>> 8) & 0xff) + ((d >>> 8) & 0xff) + 2) >>> 2; // prettier-ignore
    pixels[at] = (ends & EVEN) | (middle << 8);
  }
};

/** Averages a whole picture of `width` x `height` samples. */
export const halve = (samples: Uint32Array, width: number, height: number, pixels: Uint32Array): void => {
  for (let row = 0; row < height / 2; row += 1) halveSpan(samples, width, row, 0, width / 2, pixels);
};
