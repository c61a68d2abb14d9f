// Arithmetic whose last bit is the same on every machine: built on + - * / and sqrt only, which IEEE 754 fixes.

const TAU = 6.283185307179586;

/** Sine by its Taylor series after reduction to -pi/2..pi/2; good to 1e-9. `Math.sin` may differ between machines. */
export const sin = (angle: number): number => {
  let x = angle - TAU * Math.round(angle / TAU);
  if (x > TAU / 4) x = TAU / 2 - x;
  else if (x < -TAU / 4) x = -TAU / 2 - x;
  const s = x * x;
  return (
    x *
    (1 -
      (s / 6) *
        (1 - (s / 20) * (1 - (s / 42) * (1 - (s / 72) * (1 - (s / 110) * (1 - (s / 156) * (1 - s / 210)))))))
  );
};

export const cos = (angle: number): number => sin(angle + TAU / 4);

export const radians = (degrees: number): number => (degrees * TAU) / 360;

export const clamp = (value: number, low: number, high: number): number =>
  value < low ? low : value > high ? high : value;

export const mix = (a: number, b: number, share: number): number => a + (b - a) * share;

/** 0 below `low`, 1 above `high`, smooth between. */
export const smooth = (low: number, high: number, value: number): number => {
  const x = clamp((value - low) / (high - low), 0, 1);
  return x * x * (3 - 2 * x);
};

/** What light is left after `depth` optical depths: near exp(-depth), and exact. */
export const fade = (depth: number): number =>
  1 / (1 + depth + 0.5 * depth * depth + (depth * depth * depth) / 6);

export type Vec3 = readonly [number, number, number];

export const dot = (a: Vec3, b: Vec3): number => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];

export const cross = (a: Vec3, b: Vec3): Vec3 => [
  a[1] * b[2] - a[2] * b[1],
  a[2] * b[0] - a[0] * b[2],
  a[0] * b[1] - a[1] * b[0],
];

export const unit = (a: Vec3): Vec3 => {
  const length = Math.sqrt(dot(a, a)) || 1;
  return [a[0] / length, a[1] / length, a[2] / length];
};
