// Distributions over classes: softmax of logits at a temperature, what lies between two of them, and the temperature that fits.

/** log of the softmax of `logits / temperature`. */
export const logSoftmax = (logits: ArrayLike<number>, temperature: number): Float64Array => {
  const scaled = Float64Array.from(logits, (logit) => logit / temperature);
  const top = scaled.reduce((most, value) => Math.max(most, value), -Infinity);
  let sum = 0;
  for (const value of scaled) sum += Math.exp(value - top);
  const whole = top + Math.log(sum);
  return scaled.map((value) => value - whole);
};

/** KL(p || q) of two distributions given by their logarithms; never negative. */
export const divergence = (p: Float64Array, q: Float64Array): number => {
  let sum = 0;
  for (let i = 0; i < p.length; i++) {
    const log = p[i] ?? 0;
    sum += Math.exp(log) * (log - (q[i] ?? 0));
  }
  return Math.max(0, sum);
};

/** log(1 + exp(x)). */
const softplus = (x: number): number => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));

/** KL between two yes-or-no distributions given by their logits. */
export const binaryDivergence = (p: number, q: number): number => {
  const yes = 1 / (1 + Math.exp(-p));
  return Math.max(0, yes * (softplus(-q) - softplus(-p)) + (1 - yes) * (softplus(q) - softplus(p)));
};

/** Hellinger's distance of two distributions given by their logarithms: 0 to 1, to second order sqrt(KL / 4). */
export const hellinger = (p: Float64Array, q: Float64Array): number => {
  let overlap = 0;
  for (let i = 0; i < p.length; i++) overlap += Math.exp(((p[i] ?? 0) + (q[i] ?? 0)) / 2);
  return Math.sqrt(Math.max(0, 1 - overlap));
};

/** Hellinger's distance of two yes-or-no distributions given by their logits. */
export const binaryHellinger = (p: number, q: number): number =>
  hellinger(Float64Array.of(-softplus(-p), -softplus(p)), Float64Array.of(-softplus(-q), -softplus(q)));

/** What a label says of an object: the logits of its group, and which of them is right. */
export interface Labelled {
  readonly logits: ArrayLike<number>;
  readonly truth: number;
  readonly weight: number;
}

const LEAST = Math.log(0.05);
const MOST = Math.log(50);
const GOLDEN = (Math.sqrt(5) - 1) / 2;
const STEPS = 60;

/**
 * The temperature at which the mean loss is least (Guo 2017), between 0.05 and 50; 1 of no objects. The loss is convex in 1 /
 * temperature: there is one.
 */
export const fitTemperature = (objects: readonly Labelled[]): number => {
  if (objects.length === 0) return 1;
  const lossAt = (log: number): number => {
    const temperature = Math.exp(log);
    let sum = 0;
    for (const { logits, truth, weight } of objects) {
      sum -= weight * (logSoftmax(logits, temperature)[truth] ?? 0);
    }
    return sum;
  };
  let [low, high] = [LEAST, MOST];
  let [a, b] = [high - GOLDEN * (high - low), low + GOLDEN * (high - low)];
  let [lossA, lossB] = [lossAt(a), lossAt(b)];
  for (let step = 0; step < STEPS; step++) {
    if (lossA <= lossB) {
      [high, b, lossB] = [b, a, lossA];
      a = high - GOLDEN * (high - low);
      lossA = lossAt(a);
    } else {
      [low, a, lossA] = [a, b, lossB];
      b = low + GOLDEN * (high - low);
      lossB = lossAt(b);
    }
  }
  return Math.exp((low + high) / 2);
};
