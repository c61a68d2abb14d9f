// Changes of colour as one matrix: hue, saturation, brightness.

/** Rows of red, green and blue of the result. */
export type ColourMatrix = readonly [number, number, number, number, number, number, number, number, number];

export interface ColourShift {
  /** Degrees. */
  readonly hue: number;
  /** Factors; 1 changes nothing. */
  readonly saturation: number;
  readonly brightness: number;
}

/** What red, green and blue add to the luma (ITU-R BT.709). */
const [LR, LG, LB] = [0.2126, 0.7152, 0.0722];

/** Turns the hue around grey, scales what is not grey, then everything. Greys stay grey. */
export const colourMatrix = ({ hue, saturation, brightness }: ColourShift): ColourMatrix => {
  const angle = (hue / 180) * Math.PI;
  const [c, s] = [Math.cos(angle) * saturation, Math.sin(angle) * saturation];
  // The matrix of SVG's `hueRotate`, with the part that is not grey scaled.
  return (
    [
      LR + c * (1 - LR) - s * LR,
      LG - c * LG - s * LG,
      LB - c * LB + s * (1 - LB),
      LR - c * LR + s * 0.143,
      LG + c * (1 - LG) + s * 0.14,
      LB - c * LB - s * 0.283,
      LR - c * LR - s * (1 - LR),
      LG - c * LG + s * LG,
      LB + c * (1 - LB) + s * LB,
    ] as const
  ).map((value) => value * brightness) as unknown as ColourMatrix;
};
