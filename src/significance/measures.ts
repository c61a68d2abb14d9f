// What perturbing a component did to each object: loss, margin, divergence, guards; and the means of those with their intervals.
import { iou } from '../vision/index.js';
import { HEADER } from './compact.js';
import {
  binaryDivergence,
  binaryHellinger,
  divergence,
  fitTemperature,
  hellinger,
  logSoftmax,
} from './distribution.js';
import { meanOf, type PictureSums, spreadOf } from './statistics.js';

/** An object that the model found. */
export interface Found {
  /** Index of its picture. */
  readonly picture: number;
  /** Its class among the kept ones: by its label, or by the model itself where there are none. */
  readonly truth: number;
  readonly hasLabel: boolean;
}

/** What the objects of pictures are, in their order. */
export const objectsOf = (
  pictures: readonly { readonly truths: readonly number[] }[],
  hasLabel: boolean,
): Found[] =>
  pictures.flatMap(({ truths }, picture) => truths.map((truth) => ({ picture, truth, hasLabel })));

/** `truth` taken for `predicted` costs so many times as much as another confusion. */
export interface Cost {
  readonly truth: number;
  readonly predicted: number;
  readonly cost: number;
}

/** What makes objects critical. Classes are indices of the kept ones. */
export interface Criticality {
  readonly groups: readonly (readonly number[])[];
  readonly costs: readonly Cost[];
}

/** Everything about an object that FP32 says once for all. */
export interface Reference {
  readonly found: Found;
  readonly group: readonly number[] | undefined;
  /** Index of the right class in its group. */
  readonly truth: number;
  /** By the costs of what it may be taken for. */
  readonly weight: number;
}

const boxAt = (rows: Float32Array, start: number) => ({
  x1: rows[start] ?? 0,
  y1: rows[start + 1] ?? 0,
  x2: rows[start + 2] ?? 0,
  y2: rows[start + 3] ?? 0,
});

/** The right class's logit less the best other one's. */
const marginOf = (logits: ArrayLike<number>, truth: number): number => {
  let best = -Infinity;
  for (let i = 0; i < logits.length; i++) if (i !== truth) best = Math.max(best, logits[i] ?? 0);
  return (logits[truth] ?? 0) - best;
};

/** Sums of one measure over the pictures. */
class Sums implements PictureSums {
  readonly sum: Float64Array;
  readonly weight: Float64Array;

  constructor(pictures: number) {
    this.sum = new Float64Array(pictures);
    this.weight = new Float64Array(pictures);
  }

  add(picture: number, value: number, weight = 1): void {
    this.sum[picture] = (this.sum[picture] ?? 0) + weight * value;
    this.weight[picture] = (this.weight[picture] ?? 0) + weight;
  }
}

/** The measures of one perturbation, as sums by picture. */
export interface Measured {
  /** Of objects with labels. */
  readonly signed: PictureSums | undefined;
  readonly absolute: PictureSums | undefined;
  readonly margin: PictureSums | undefined;
  readonly divergence: PictureSums;
  readonly objectness: PictureSums;
  readonly box: PictureSums;
  readonly others: PictureSums;
  /** Hellinger's distances of the same distributions. */
  readonly distances: {
    readonly critical: PictureSums;
    readonly objectness: PictureSums;
    readonly others: PictureSums;
  };
}

/** D_crit, and what FP32 says of it. */
export class CriticalSet {
  readonly temperature: number;
  /** Objects of critical classes. */
  readonly size: number;
  readonly isLabelled: boolean;
  readonly #references: readonly Reference[];
  readonly #rows: Float32Array;
  readonly #width: number;
  readonly #pictures: number;
  readonly #groups: readonly (readonly number[])[];

  /**
   * @param objects all that the model found
   * @param rows their compact FP32 rows
   * @param temperature fitted where it is left out and there are labels; 1 without labels
   */
  constructor(
    objects: readonly Found[],
    rows: Float32Array,
    pictures: number,
    { groups, costs }: Criticality,
    temperature?: number,
  ) {
    this.#rows = rows;
    this.#width = objects.length === 0 ? HEADER + 1 : rows.length / objects.length;
    this.#pictures = pictures;
    this.#groups = groups;
    const plain = objects.map((found): Reference => {
      const group = groups.find((classes) => classes.includes(found.truth));
      return { found, group, truth: group?.indexOf(found.truth) ?? -1, weight: 1 };
    });
    const critical = plain.filter(({ group }) => group !== undefined);
    this.size = critical.length;
    this.isLabelled = critical.length > 0 && critical.every(({ found }) => found.hasLabel);
    const fitted = (): number =>
      fitTemperature(
        plain.flatMap(({ group, truth, weight }, index) =>
          group === undefined ? [] : [{ logits: this.#logits(rows, index, group), truth, weight }],
        ),
      );
    this.temperature = temperature ?? (this.isLabelled ? fitted() : 1);
    this.#references = plain.map((reference, index) => ({
      ...reference,
      weight: this.#weight(reference, index, costs),
    }));
  }

  #logits(rows: Float32Array, index: number, group: readonly number[]): number[] {
    return group.map((id) => rows[index * this.#width + HEADER + id] ?? 0);
  }

  /** The mean cost of what an object may be taken for, as likely as FP32 thinks it. */
  #weight({ group, truth, found }: Reference, index: number, costs: readonly Cost[]): number {
    if (group === undefined || costs.length === 0) return 1;
    const logs = logSoftmax(this.#logits(this.#rows, index, group), this.temperature);
    let [sum, all] = [0, 0];
    for (const [i, id] of group.entries()) {
      if (i === truth) continue;
      // A share that vanishes must not divide by zero.
      const share = Math.exp(logs[i] ?? 0) + 1e-12;
      const cost = costs.find((each) => each.truth === found.truth && each.predicted === id)?.cost ?? 1;
      sum += share * cost;
      all += share;
    }
    return sum / all;
  }

  /** The distribution over all classes, critical groups taken as one class each. */
  #others(rows: Float32Array, index: number): Float64Array {
    const start = index * this.#width;
    const lumped = new Set(this.#groups.flat());
    const logits: number[] = this.#groups.map((group) => {
      const own = group.map((id) => (rows[start + HEADER + id] ?? 0) / this.temperature);
      const top = Math.max(...own);
      return top + Math.log(own.reduce((sum, value) => sum + Math.exp(value - top), 0));
    });
    for (let id = 0; id < this.#width - HEADER; id++) {
      if (!lumped.has(id)) logits.push((rows[start + HEADER + id] ?? 0) / this.temperature);
    }
    return logSoftmax(logits, 1);
  }

  /** Indices of kept classes. */
  get groups(): readonly (readonly number[])[] {
    return this.#groups;
  }

  /** All objects, in their order. */
  get references(): readonly Reference[] {
    return this.#references;
  }

  /** Compact FP32 rows of all objects. */
  get rows(): Float32Array {
    return this.#rows;
  }

  /** Mean loss of the critical objects in FP32; NaN without labels. */
  loss(): number {
    let [sum, all] = [0, 0];
    for (const [index, { group, truth, weight }] of this.#references.entries()) {
      if (group === undefined) continue;
      sum -= weight * (logSoftmax(this.#logits(this.#rows, index, group), this.temperature)[truth] ?? 0);
      all += weight;
    }
    return this.isLabelled ? sum / all : Number.NaN;
  }

  /** @param rows compact rows of the perturbed model, of the same objects */
  measure(rows: Float32Array): Measured {
    const sums = (): Sums => new Sums(this.#pictures);
    const [signed, absolute, margin, diverged] = [sums(), sums(), sums(), sums()];
    const [objectness, box, others] = [sums(), sums(), sums()];
    const distances = { critical: sums(), objectness: sums(), others: sums() };
    for (const [index, { found, group, truth, weight }] of this.#references.entries()) {
      const start = index * this.#width;
      const { picture } = found;
      const [sure, nowSure] = [this.#rows[start + 4] ?? 0, rows[start + 4] ?? 0];
      objectness.add(picture, binaryDivergence(sure, nowSure));
      distances.objectness.add(picture, binaryHellinger(sure, nowSure));
      box.add(picture, 1 - iou(boxAt(this.#rows, start), boxAt(rows, start)));
      const [rest, nowRest] = [this.#others(this.#rows, index), this.#others(rows, index)];
      others.add(picture, divergence(rest, nowRest));
      distances.others.add(picture, hellinger(rest, nowRest));
      if (group === undefined) continue;
      const [before, after] = [this.#logits(this.#rows, index, group), this.#logits(rows, index, group)];
      const [p, q] = [logSoftmax(before, this.temperature), logSoftmax(after, this.temperature)];
      diverged.add(picture, divergence(p, q), weight);
      distances.critical.add(picture, hellinger(p, q), weight);
      const change = (p[truth] ?? 0) - (q[truth] ?? 0);
      signed.add(picture, change, weight);
      absolute.add(picture, Math.abs(change), weight);
      const moved = marginOf(after, truth) - marginOf(before, truth);
      margin.add(picture, Math.abs(moved) / this.temperature, weight);
    }
    const labelled = this.isLabelled ? { signed, absolute, margin } : undefined;
    return {
      signed: labelled?.signed,
      absolute: labelled?.absolute,
      margin: labelled?.margin,
      divergence: diverged,
      objectness,
      box,
      others,
      distances,
    };
  }
}

/** A mean distance d as the divergence that it stands for: to second order KL is 4 d^2. */
const fromDistance = (distance: number): number => 4 * distance * distance;

/** What rounding does, in forms that no few objects can dominate: bounded distances, averaged before they are squared. */
export interface Effects {
  /** Within the critical groups. */
  readonly divergence: number;
  readonly objectness: number;
  readonly box: number;
  readonly others: number;
}

export const effectsOf = ({ distances, box }: Measured): Effects => ({
  divergence: fromDistance(meanOf(distances.critical)),
  objectness: fromDistance(meanOf(distances.objectness)),
  box: meanOf(box) ** 2,
  others: fromDistance(meanOf(distances.others)),
});

const robustOf = (measured: Measured, samples: readonly Uint16Array[]) => {
  const { low, high } = spreadOf(measured.distances.critical, samples);
  const { divergence: mean, ...guards } = effectsOf(measured);
  return { divergence: { mean, low: fromDistance(low), high: fromDistance(high) }, ...guards };
};

/** The means of what was measured. */
export const meansOf = (measured: Measured, samples: readonly Uint16Array[]) => ({
  ...(measured.signed && { signed: spreadOf(measured.signed, samples) }),
  ...(measured.absolute && { absolute: meanOf(measured.absolute) }),
  ...(measured.margin && { margin: meanOf(measured.margin) }),
  divergence: spreadOf(measured.divergence, samples),
  guards: {
    objectness: meanOf(measured.objectness),
    box: meanOf(measured.box),
    others: meanOf(measured.others),
  },
  robust: robustOf(measured, samples),
});
