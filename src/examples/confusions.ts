// The observed confusion matrix: a sliding window with decay, every source's part beside it, and which pairs are critical.
import type { ConfusionsConfig } from '../config/index.js';
import { confusedPairs, type ConfusedPair, ConfusionMatrix } from '../evaluation/index.js';
import { foldName } from '../registry/index.js';
import type { Store } from '../store/index.js';
import { fromObservationSum, type Looks } from './observed.js';
import { type ClassName, type Source, SOURCES } from './types.js';

/** What one source says of a pair, weighted and decayed. */
export interface PairPart {
  readonly confused: number;
  readonly support: number;
  /** Lower end of Wilson's 95 % interval of `confused / support`, by this source alone. */
  readonly lower: number;
}

/** `observed`: by the numbers; the other two by the configuration. */
export type CriticalBecause = 'observed' | 'pinned' | 'banned' | null;

export interface ObservedPair {
  readonly a: ClassName;
  readonly b: ClassName;
  /** Taken for the other, weighted and decayed. */
  readonly aAsB: number;
  readonly bAsA: number;
  readonly support: number;
  readonly rate: number;
  readonly lower: number;
  readonly critical: boolean;
  /** Why it is critical, or although the numbers say so is not. */
  readonly because: CriticalBecause;
  readonly sources: Readonly<Record<Source, PairPart>>;
}

export interface SourcePart {
  readonly observations: number;
  /** Weighted by the configuration and decayed. */
  readonly weight: number;
}

export interface ConfusionReport {
  /** When it was worked out, UTC milliseconds. */
  readonly atMs: number;
  /** Names in the order of the matrix, sorted. */
  readonly classes: readonly ClassName[];
  /** Rows: what it presumably was; columns: what was predicted; the last of each is the background. Weighted, decayed. */
  readonly matrix: ConfusionMatrix;
  /** Worst lower bound first, then the pinned ones of which nothing was observed. */
  readonly pairs: readonly ObservedPair[];
  readonly sources: Readonly<Record<Source, SourcePart>>;
  /** Weight of the observations of every model, by its id. */
  readonly models: Readonly<Record<string, number>>;
}

export interface ReportOptions {
  /** Only what these artifacts predicted; all when left out. */
  readonly models?: readonly string[];
  /** Only what these sources say. */
  readonly sources?: readonly Source[];
}

const DAY_MS = 86_400_000;
/** Small beside any half-life. */
const BUCKET_MS = 600_000;

const forSources = <T>(make: (source: Source) => T): Record<Source, T> => ({
  operator: make('operator'),
  track: make('track'),
  teacher: make('teacher'),
});

/** What an observation counts for now: its own weight, that of its source, halved with every half-life. 0 outside the window. */
const weightNow = ({ weight, source, seenMs }: Looks, config: ConfusionsConfig, nowMs: number): number => {
  const ageMs = Math.max(0, nowMs - seenMs);
  if (ageMs > config.windowDays * DAY_MS) return 0;
  return weight * config.weights[source] * 0.5 ** (ageMs / (config.halfLifeDays * DAY_MS));
};

interface Weighed {
  readonly truth: number;
  readonly predicted: number;
  readonly source: Source;
  readonly weight: number;
}

const matrixOf = (classes: readonly ClassName[], weighed: readonly Weighed[]): ConfusionMatrix => {
  const size = classes.length + 1;
  const counts = Array.from({ length: size }, () => new Array<number>(size).fill(0));
  for (const { truth, predicted, weight } of weighed) {
    const row = counts[truth];
    if (row !== undefined) row[predicted] = (row[predicted] ?? 0) + weight;
  }
  return new ConfusionMatrix(classes, counts);
};

const has = (
  pairs: readonly (readonly [string, string])[],
  a: ClassName | undefined,
  b: ClassName | undefined,
): boolean => {
  const key = (names: readonly string[]): string => names.map(foldName).sort().join('\n');
  return pairs.some((pair) => key(pair) === key([a ?? '', b ?? '']));
};

/**
 * The confusions as they are observed now. Weights are at most 1, so that their sum stands for a number of looks that is rather too
 * small than too large: the interval is wide, not narrow.
 *
 * Names that differ in case, spaces, "_" or "-" alone are one class.
 */
export const observedConfusions = (
  observations: Iterable<Looks>,
  config: ConfusionsConfig,
  nowMs: number,
  { models, sources = SOURCES }: ReportOptions = {},
): ConfusionReport => {
  const kept: { observation: Looks; weight: number }[] = [];
  for (const observation of observations) {
    if (models !== undefined && !models.includes(observation.model)) continue;
    if (!sources.includes(observation.source)) continue;
    const weight = weightNow(observation, config, nowMs);
    if (weight > 0) kept.push({ observation, weight });
  }
  const names = new Map<string, ClassName>();
  for (const { observation } of kept) {
    for (const name of [observation.predicted, observation.presumed]) {
      if (name !== null && !names.has(foldName(name))) names.set(foldName(name), name);
    }
  }
  for (const name of config.pinned.flat()) if (!names.has(foldName(name))) names.set(foldName(name), name);
  const classes = [...names.values()].sort();
  const indices = new Map(classes.map((name, index) => [foldName(name), index]));
  const indexOf = (name: ClassName | null): number =>
    name === null ? classes.length : (indices.get(foldName(name)) ?? classes.length);
  const weighed = kept.map(({ observation: { presumed, predicted, source }, weight }): Weighed => ({
    truth: indexOf(presumed),
    predicted: indexOf(predicted),
    source,
    weight,
  }));
  const matrix = matrixOf(classes, weighed);
  const parts = forSources((source) =>
    matrixOf(
      classes,
      weighed.filter((one) => one.source === source),
    ),
  );
  const totals: Record<string, number> = {};
  for (const { observation, weight } of kept) {
    totals[observation.model] = (totals[observation.model] ?? 0) + weight;
  }
  return {
    atMs: nowMs,
    classes,
    matrix,
    pairs: pairsOf(matrix, parts, config),
    sources: forSources((source) => {
      const own = kept.filter(({ observation }) => observation.source === source);
      return {
        observations: own.reduce((sum, { observation }) => sum + (observation.looks ?? 1), 0),
        weight: own.reduce((sum, { weight }) => sum + weight, 0),
      };
    }),
    models: totals,
  };
};

/** The confusions that a store has observed; lets others work in between. */
export const readConfusions = async (
  { observations }: Pick<Store, 'observations'>,
  config: ConfusionsConfig,
  nowMs: number,
  options: ReportOptions = {},
): Promise<ConfusionReport> => {
  const looks: Looks[] = [];
  for (const sums of observations.sums(nowMs - config.windowDays * DAY_MS, BUCKET_MS)) {
    looks.push(...sums.flatMap((sum) => fromObservationSum(sum) ?? []));
    await new Promise((resolve) => setImmediate(resolve));
  }
  return observedConfusions(looks, config, nowMs, options);
};

/** The critical pairs of a report, worst first. */
export const criticalPairs = ({ pairs }: ConfusionReport): (readonly [ClassName, ClassName])[] =>
  pairs.filter(({ critical }) => critical).map(({ a, b }) => [a, b] as const);

const pairsOf = (
  matrix: ConfusionMatrix,
  parts: Readonly<Record<Source, ConfusionMatrix>>,
  { minLower, minSupport, pinned, banned }: ConfusionsConfig,
): ObservedPair[] => {
  const { classes } = matrix;
  const partOf = (source: Source, a: number, b: number): PairPart => {
    const found = confusedPairs(parts[source]).find((pair) => pair.a === a && pair.b === b);
    const count = (x: number, y: number): number => parts[source].count(x, y);
    return {
      confused: found?.confused ?? 0,
      support: found?.support ?? count(a, a) + count(b, b),
      lower: found?.lower ?? 0,
    };
  };
  const toPair = (pair: ConfusedPair): ObservedPair => {
    const [a = '', b = ''] = [classes[pair.a], classes[pair.b]];
    const isBanned = has(banned, a, b);
    const isPinned = has(pinned, a, b);
    const { aAsB, bAsA, support, rate, lower } = pair;
    return {
      a,
      b,
      aAsB,
      bAsA,
      support,
      rate,
      lower,
      critical: !isBanned && (isPinned || pair.critical),
      because: isBanned ? 'banned' : isPinned ? 'pinned' : pair.critical ? 'observed' : null,
      sources: forSources((source) => partOf(source, pair.a, pair.b)),
    };
  };
  const seen = confusedPairs(matrix, { minLower, minSupport });
  const unseen = pinned.flatMap((pair): ConfusedPair[] => {
    const [a = -1, b = -1] = pair
      .map((name) => classes.findIndex((known) => foldName(known) === foldName(name)))
      .sort((x, y) => x - y);
    if (a < 0 || seen.some((one) => one.a === a && one.b === b)) return [];
    const support = matrix.count(a, a) + matrix.count(b, b);
    return [{ a, b, aAsB: 0, bAsA: 0, confused: 0, support, rate: 0, lower: 0, critical: false }];
  });
  const unique = new Map(unseen.map((pair) => [`${pair.a}:${pair.b}`, pair]));
  return [...seen, ...unique.values()].map(toPair);
};
