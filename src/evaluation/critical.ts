// Critical pairs: classes that a model takes for each other, and how often it tells them apart.
import type { ConfusionMatrix, Verdict } from './confusion.js';

/** Normal quantile of a two-sided 95 % interval. */
const Z = 1.959963984540054;

/** Lower end of Wilson's 95 % interval for `hits` of `trials` (Wilson 1927); 0 without trials. */
export const wilsonLower = (hits: number, trials: number): number => {
  if (hits === 0 || trials === 0) return 0;
  const share = hits / trials;
  const z2 = (Z * Z) / trials;
  const centre = share + z2 / 2;
  const spread = Z * Math.sqrt((share * (1 - share) + z2 / 4) / trials);
  return Math.max(0, (centre - spread) / (1 + z2));
};

/** Two classes, `a` < `b`, and how often one was taken for the other, over matched objects. */
export interface ConfusedPair {
  readonly a: number;
  readonly b: number;
  readonly aAsB: number;
  readonly bAsA: number;
  /** `aAsB + bAsA`. */
  readonly confused: number;
  /** Matched objects of either class that were taken for either. */
  readonly support: number;
  /** `confused / support`: the mutual confusion. */
  readonly rate: number;
  /** Lower end of Wilson's 95 % interval of `rate`. */
  readonly lower: number;
  readonly critical: boolean;
}

export interface CriticalOptions {
  /** A pair is critical from this Wilson lower bound of its mutual confusion on. */
  readonly minLower?: number;
  /** And from this many matched objects on. */
  readonly minSupport?: number;
  /** Classes that may be part of a critical pair; all when left out. */
  readonly eligible?: readonly boolean[];
}

export const CRITICAL_DEFAULTS = { minLower: 0.02, minSupport: 20 } as const;

/** All pairs with any confusion, worst Wilson lower bound first. */
export const confusedPairs = (matrix: ConfusionMatrix, options: CriticalOptions = {}): ConfusedPair[] => {
  const pairs: ConfusedPair[] = [];
  for (let a = 0; a < matrix.classes.length; a += 1) {
    for (let b = a + 1; b < matrix.classes.length; b += 1) {
      const pair = pairOf(matrix, a, b, options);
      if (pair.confused > 0 && isEligible(pair, options)) pairs.push(pair);
    }
  }
  return pairs.sort((x, y) => y.lower - x.lower || y.confused - x.confused || x.a - y.a || x.b - y.b);
};

const isEligible = ({ a, b }: { a: number; b: number }, { eligible }: CriticalOptions): boolean =>
  eligible === undefined || (eligible[a] === true && eligible[b] === true);

const pairOf = (matrix: ConfusionMatrix, a: number, b: number, options: CriticalOptions): ConfusedPair => {
  const { minLower = CRITICAL_DEFAULTS.minLower, minSupport = CRITICAL_DEFAULTS.minSupport } = options;
  const aAsB = matrix.count(a, b);
  const bAsA = matrix.count(b, a);
  const confused = aAsB + bAsA;
  const support = confused + matrix.count(a, a) + matrix.count(b, b);
  const lower = wilsonLower(confused, support);
  return {
    a,
    b,
    aAsB,
    bAsA,
    confused,
    support,
    rate: support === 0 ? 0 : confused / support,
    lower,
    critical: support >= minSupport && lower >= minLower,
  };
};

/** The classes of some pairs, in rising order. */
export const classesOf = (pairs: Iterable<{ readonly a: number; readonly b: number }>): number[] =>
  [...new Set([...pairs].flatMap(({ a, b }) => [a, b]))].sort((x, y) => x - y);

/** Top-1 among a set of classes. */
export interface CriticalAccuracy {
  readonly correct: number;
  /** Matched objects of these classes that were taken for one of them. */
  readonly support: number;
  /** `correct / support`; `null` without support. */
  readonly value: number | null;
}

/**
 * How often the model names the right one of `classes`, over the objects of these classes that it found and took for one
 * of them. Objects it missed, and those it took for another class, are the business of AP.
 */
export const criticalAccuracy = (
  verdicts: Iterable<Verdict>,
  classes: readonly number[],
): CriticalAccuracy => {
  const critical = new Set(classes);
  let correct = 0;
  let support = 0;
  for (const { truth, predicted } of verdicts) {
    if (!critical.has(truth) || !critical.has(predicted)) continue;
    support += 1;
    if (truth === predicted) correct += 1;
  }
  return { correct, support, value: support === 0 ? null : correct / support };
};

/**
 * Critical accuracy as a figure for the bootstrap.
 * @param judged verdicts of each picture
 */
export const criticalAccuracyFigure = (
  judged: readonly (readonly Verdict[])[],
  classes: readonly number[],
): ((weights: Int32Array) => number) => {
  const counts = judged.map((verdicts) => criticalAccuracy(verdicts, classes));
  return (weights) => {
    let correct = 0;
    let support = 0;
    for (const [picture, count] of counts.entries()) {
      const weight = weights[picture] ?? 0;
      correct += weight * count.correct;
      support += weight * count.support;
    }
    return support === 0 ? Number.NaN : correct / support;
  };
};
