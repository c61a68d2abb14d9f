// Motion blur: what moves during the exposure is smeared along its way.

const MOST_STEPS = 11;

/** Smears one vehicle. */
export interface Smear {
  /** Its number in `ids`. */
  readonly id: number;
  /** Where to look, in pixels: around what is seen of it. */
  readonly x1: number;
  readonly y1: number;
  readonly x2: number;
  readonly y2: number;
  /** Pixels that it moves while the shutter is open. */
  readonly dx: number;
  readonly dy: number;
}

/**
 * Where a pixel or what it passes shows the vehicle, it becomes the mean of what passes. `source` is a picture of the same size
 * to read from, overwritten.
 */
export const smear = (
  pixels: Uint32Array,
  source: Uint32Array,
  ids: Uint8Array,
  width: number,
  height: number,
  { id, x1, y1, x2, y2, dx, dy }: Smear,
): void => {
  const length = Math.sqrt(dx * dx + dy * dy);
  if (length < 0.7) return;
  const steps = Math.min(MOST_STEPS, 2 * Math.ceil(length / 2) + 1);
  const padX = Math.ceil(Math.abs(dx) / 2) + 1;
  const padY = Math.ceil(Math.abs(dy) / 2) + 1;
  const left = Math.max(0, Math.floor(x1) - padX);
  const right = Math.min(width, Math.ceil(x2) + padX);
  const top = Math.max(0, Math.floor(y1) - padY);
  const bottom = Math.min(height, Math.ceil(y2) + padY);
  for (let row = Math.max(0, top - padY); row < Math.min(height, bottom + padY); row += 1) {
    const from = row * width + Math.max(0, left - padX);
    const to = row * width + Math.min(width, right + padX);
    source.set(pixels.subarray(from, to), from);
  }
  const offsets = Array.from({ length: steps }, (_, i) => {
    const share = i / (steps - 1) - 0.5;
    return [Math.round(dx * share), Math.round(dy * share)] as const;
  });
  for (let y = top; y < bottom; y += 1) {
    for (let x = left; x < right; x += 1) {
      const at = y * width + x;
      const own = source[at] as number;
      const isInside = ids[at] === id;
      let hits = isInside ? 1 : 0;
      let red = 0;
      let green = 0;
      let blue = 0;
      for (let i = 0; i < steps; i += 1) {
        const offset = offsets[i] as readonly [number, number];
        const px = x + offset[0];
        const py = y + offset[1];
        let colour = own;
        if (px >= 0 && px < width && py >= 0 && py < height) {
          const passed = py * width + px;
          if (ids[passed] === id) {
            hits += 1;
            colour = source[passed] as number;
          } else if (isInside) colour = source[passed] as number;
        }
        red += colour & 255;
        green += (colour >>> 8) & 255;
        blue += (colour >>> 16) & 255;
      }
      if (hits === 0) continue;
      pixels[at] = (red / steps) | 0 | (((green / steps) | 0) << 8) | (((blue / steps) | 0) << 16);
    }
  }
};
