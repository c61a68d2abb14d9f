// What one step does to weights: SGD with momentum, AdamW. Pure functions over arrays; sums in double precision.

/** One parameter's share of a step. */
export interface Update {
  readonly rate: number;
  /** What gradients are multiplied by first (clipping). */
  readonly gradientScale: number;
  readonly weightDecay: number;
}

export interface SgdOptions {
  /** Default 0.9. */
  readonly momentum?: number;
  /** Nesterov's momentum (default false). */
  readonly nesterov?: boolean;
}

/**
 * Stochastic gradient descent with momentum, as PyTorch defines it: v = m v + (g + decay w); w -= rate v, or rate (g + m v) after
 * Nesterov. Decay is part of the gradient.
 *
 * @param weights changed in place, as is `velocity`, which starts as zeros
 */
export const sgdStep = (
  weights: Float32Array,
  gradient: Float32Array,
  velocity: Float32Array,
  { rate, gradientScale, weightDecay }: Update,
  { momentum = 0.9, nesterov = false }: SgdOptions = {},
): void => {
  for (let i = 0; i < weights.length; i++) {
    const weight = weights[i] ?? 0;
    const g = (gradient[i] ?? 0) * gradientScale + weightDecay * weight;
    const v = momentum * (velocity[i] ?? 0) + g;
    velocity[i] = v;
    weights[i] = weight - rate * (nesterov ? g + momentum * v : v);
  }
};

export interface AdamwOptions {
  /** Default 0.9 and 0.999. */
  readonly beta1?: number;
  readonly beta2?: number;
  /** Default 1e-8. */
  readonly epsilon?: number;
}

/**
 * Adam with decoupled weight decay (Loshchilov & Hutter 2019).
 *
 * @param weights changed in place, as are `first` and `second`, the running moments, which start as zeros
 * @param step from 1
 */
export const adamwStep = (
  weights: Float32Array,
  gradient: Float32Array,
  first: Float32Array,
  second: Float32Array,
  step: number,
  { rate, gradientScale, weightDecay }: Update,
  { beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8 }: AdamwOptions = {},
): void => {
  const size = rate / (1 - beta1 ** step);
  const bias2 = 1 - beta2 ** step;
  const kept = 1 - rate * weightDecay;
  for (let i = 0; i < weights.length; i++) {
    const g = (gradient[i] ?? 0) * gradientScale;
    const m = beta1 * (first[i] ?? 0) + (1 - beta1) * g;
    const v = beta2 * (second[i] ?? 0) + (1 - beta2) * g * g;
    first[i] = m;
    second[i] = v;
    weights[i] = kept * (weights[i] ?? 0) - (size * m) / (Math.sqrt(v / bias2) + epsilon);
  }
};

/** The Euclidean norm of all gradients together. */
export const globalNorm = (gradients: Iterable<Float32Array>): number => {
  let sum = 0;
  for (const gradient of gradients) for (const value of gradient) sum += value * value;
  return Math.sqrt(sum);
};

/** What gradients of norm `norm` are multiplied by for it to be `most` at most. */
export const clippingScale = (norm: number, most: number | undefined): number =>
  most === undefined || norm <= most ? 1 : most / norm;

/** Moves an average towards `weights`: average = decay average + (1 - decay) weights. */
export const moveAverage = (average: Float32Array, weights: Float32Array, decay: number): void => {
  for (let i = 0; i < average.length; i++) {
    average[i] = decay * (average[i] ?? 0) + (1 - decay) * (weights[i] ?? 0);
  }
};

/** An average's decay after `step` steps: small at first, so that the start is soon forgotten. */
export const decayAt = (step: number, decay: number, rampSteps: number): number =>
  rampSteps <= 0 ? decay : decay * (1 - Math.exp(-step / rampSteps));
