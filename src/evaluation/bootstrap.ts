// Bootstrap over pictures: how far a figure, or a difference of two, could be chance. Deterministic by seed.

/** A 95 % interval. */
export interface Interval {
  readonly value: number;
  readonly low: number;
  readonly high: number;
}

export interface BootstrapOptions {
  /** Resamples; 1,000 when left out. */
  readonly rounds?: number;
  readonly seed?: number;
  /**
   * The place of each picture ({@link placesOf}): those of one place are alike, so places are drawn, each with all of its pictures (the
   * cluster bootstrap: Davison & Hinkley 1997, 3.8). Pictures, when left out.
   */
  readonly places?: Int32Array;
}

/** A figure of a set of pictures, each counted as often as `weights` says; NaN where it has no meaning. */
export type WeightedFigure = (weights: Int32Array) => number;

/** 32 random bits at a time, by seed (sfc32: Doty-Humphrey's small fast counter). */
const randomBits = (seed: number): (() => number) => {
  let [a, b, c, counter] = [seed | 0, 0x9e3779b9 | 0, 0x243f6a88 | 0, 1];
  const next = (): number => {
    const value = (((a + b) | 0) + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (((c << 21) | (c >>> 11)) + value) | 0;
    return value >>> 0;
  };
  for (let i = 0; i < 12; i += 1) next();
  return next;
};

/** Quantile `share` (0..1) of sorted values, linear between neighbours. */
export const quantile = (sorted: ArrayLike<number>, share: number): number => {
  if (sorted.length === 0) return Number.NaN;
  const at = (sorted.length - 1) * share;
  const low = sorted[Math.floor(at)] ?? Number.NaN;
  const high = sorted[Math.ceil(at)] ?? Number.NaN;
  return low + (high - low) * (at - Math.floor(at));
};

/**
 * Places of pictures by their names: those whose names are alike up to the last `separator` are of one, and a name without it is of a
 * place of its own. Numbered from 0 as they first come.
 */
export const placesOf = (names: readonly string[], separator: string): Int32Array => {
  const numbers = new Map<string, number>();
  return Int32Array.from(names, (name) => {
    const at = name.lastIndexOf(separator);
    const place = at < 0 ? name : name.slice(0, at + separator.length);
    const known = numbers.get(place) ?? numbers.size;
    numbers.set(place, known);
    return known;
  });
};

/** Drawn at random with replacement, as many as there are: how often each was drawn. One array, filled anew for every round. */
function* draws(all: number, { rounds = 1000, seed = 1 }: BootstrapOptions): Generator<Int32Array> {
  const bits = randomBits(seed);
  const weights = new Int32Array(all);
  for (let round = 0; round < rounds; round += 1) {
    weights.fill(0);
    for (let i = 0; i < all; i += 1) {
      const drawn = Math.floor((bits() / 2 ** 32) * all);
      weights[drawn] = (weights[drawn] ?? 0) + 1;
    }
    yield weights;
  }
}

/** How often each picture was drawn, by itself or with its place. */
function* drawings(pictures: number, options: BootstrapOptions): Generator<Int32Array> {
  const { places } = options;
  if (places === undefined) {
    yield* draws(pictures, options);
    return;
  }
  const count = new Set(places).size;
  if (places.length !== pictures || places.some((place) => place < 0 || place >= count)) {
    throw new RangeError('every picture needs a place, and places are numbered from 0');
  }
  for (const drawn of draws(count, options)) {
    yield Int32Array.from(places, (place) => drawn[place] ?? 0);
  }
}

/** The interval that the values of a figure over resampled pictures leave; those without meaning (NaN) are left out. */
export const intervalOf = (value: number, resampled: readonly number[]): Interval => {
  const sorted = Float64Array.from(resampled.filter((each) => !Number.isNaN(each))).sort();
  return { value, low: quantile(sorted, 0.025), high: quantile(sorted, 0.975) };
};

/**
 * A figure over resampled pictures, round by round: equal `pictures`, rounds and seed draw equal pictures, so that differences of two
 * figures' rounds are paired, wherever and whenever each was taken.
 *
 * @param pictures number of pictures
 */
export const resample = (
  pictures: number,
  figure: WeightedFigure,
  options: BootstrapOptions = {},
): { readonly value: number; readonly rounds: readonly number[] } => {
  const rounds: number[] = [];
  for (const weights of drawings(pictures, options)) rounds.push(figure(weights));
  return { value: figure(new Int32Array(pictures).fill(1)), rounds };
};

/**
 * Percentile interval of a figure over resampled pictures.
 * @param pictures number of pictures
 */
export const bootstrap = (
  pictures: number,
  figure: WeightedFigure,
  options: BootstrapOptions = {},
): Interval => {
  const { value, rounds } = resample(pictures, figure, options);
  return intervalOf(value, rounds);
};

/**
 * Interval of `second - first`, both taken on the same resampled pictures: what one model gains over another on the same
 * data, far narrower than two separate intervals would suggest.
 */
export const pairedBootstrap = (
  pictures: number,
  first: WeightedFigure,
  second: WeightedFigure,
  options: BootstrapOptions = {},
): Interval => bootstrap(pictures, (weights) => second(weights) - first(weights), options);

/** The middle of sorted values, each counted as often as `weights` says. */
const weightedMedian = (
  sorted: readonly (readonly [value: number, index: number])[],
  weights: Int32Array,
): number => {
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const at = (rank: number): number => {
    let seen = 0;
    for (const [value, index] of sorted) {
      seen += weights[index] ?? 0;
      if (seen > rank) return value;
    }
    return NaN;
  };
  return (at((total - 1) >> 1) + at(total >> 1)) / 2;
};

/** The median of one value a run, with its interval over resampled runs. */
export const medianInterval = (values: readonly number[], options: BootstrapOptions = {}): Interval => {
  const sorted = values.map((value, index) => [value, index] as const).sort((a, b) => a[0] - b[0]);
  return bootstrap(values.length, (weights) => weightedMedian(sorted, weights), options);
};
