// What is asked of the gradients in a picture: directions in its outputs, and what the responses to them say.
import { type ClassSpace, compactWidth, HEADER } from '../compact.js';
import { logSoftmax } from '../distribution.js';
import type { CriticalSet, Reference } from '../measures.js';
import type { Rows } from '../rows.js';
import { changeOf, fisherRoot } from './second-order.js';
import { classSlopes, combined, edgeSlopes, objectnessSlope, type Slope } from './slopes.js';
import type { Tally } from './tally.js';

/** One or more directions, and what to do with the responses of all filters to them. */
export interface Question {
  readonly directions: readonly (readonly Slope[])[];
  /** @param responses to each direction: of each filter, at each bit-width */
  readonly answer: (responses: readonly Float32Array[]) => void;
}

/** What is found out. */
export interface Tallies {
  /** KL within the critical groups. */
  readonly divergence: Tally;
  /** Hellinger's distance of the same. */
  readonly distance: Tally;
  /** Change of the loss: only where there are labels. */
  readonly signed: Tally | undefined;
  readonly objectness: Tally;
  readonly box: Tally;
  readonly others: Tally;
}

/** An object of the picture, with the row that says what it is. */
export interface Seen {
  readonly reference: Reference;
  /** Of all objects. */
  readonly index: number;
  readonly row: number;
  readonly raw: Float32Array;
}

export interface Asked {
  readonly rows: Rows;
  readonly space: ClassSpace;
  readonly critical: CriticalSet;
  readonly seen: readonly Seen[];
  /** Directions for critical objects, at most; objects that are more share theirs. */
  readonly most: number;
  readonly random: () => number;
}

interface Target extends Seen {
  readonly group: readonly number[];
  readonly p: Float64Array;
  /** Of the logits of its group, by the temperature. */
  readonly slopes: readonly (readonly Slope[])[];
}

const sign = (random: () => number): number => (random() < 0.5 ? -1 : 1);

const targetsOf = ({ rows, space, critical, seen }: Asked): Target[] =>
  seen.flatMap((each): Target[] => {
    const { group } = each.reference;
    if (group === undefined) return [];
    const start = each.index * compactWidth(space) + HEADER;
    const logits = group.map((id) => critical.rows[start + id] ?? 0);
    const all = classSlopes(rows, each.raw, each.row, space);
    const slopes = group.map((id) => combined([[1 / critical.temperature, all[id] ?? []]]));
    return [{ ...each, group, p: logSoftmax(logits, critical.temperature).map(Math.exp), slopes }];
  });

/** One object by itself: its logits move linearly, its distribution with them. */
const alone = ({ reference, p, slopes }: Target, tallies: Tallies): Question => {
  const { truth, weight } = reference;
  const [first = [], ...others] = slopes;
  return {
    directions: others.map((own) =>
      combined([
        [1, own],
        [-1, first],
      ]),
    ),
    answer: (responses) => {
      const { divergence, distance, signed } = tallies;
      const moves = new Float64Array(responses.length);
      for (let i = 0; i < divergence.now.length; i++) {
        for (let j = 0; j < moves.length; j++) moves[j] = responses[j]?.[i] ?? 0;
        const change = changeOf(p, moves, truth);
        divergence.now[i] = (divergence.now[i] ?? 0) + weight * change.divergence;
        distance.now[i] = (distance.now[i] ?? 0) + weight * change.distance;
        if (signed !== undefined) signed.now[i] = (signed.now[i] ?? 0) + weight * change.signed;
      }
      for (const tally of [divergence, distance, signed]) tally?.weigh(weight);
    },
  };
};

/**
 * Several objects at once, to second order: with random signs their squares add up in the mean, and what is between them falls out
 * (Hutchinson 1990).
 */
const together = (targets: readonly Target[], tallies: Tallies, random: () => number): Question => {
  const columns: (readonly [number, readonly Slope[]])[][] = [];
  const loss: (readonly [number, readonly Slope[]])[] = [];
  let all = 0;
  for (const { p, slopes, reference } of targets) {
    all += reference.weight;
    const root = fisherRoot(p);
    for (let column = 0; column + 1 < p.length; column++) {
      const factor = sign(random) * Math.sqrt(reference.weight);
      const parts = (columns[column] ??= []);
      slopes.forEach((own, i) => parts.push([factor * (root[i]?.[column] ?? 0), own]));
    }
    slopes.forEach((own, i) =>
      loss.push([reference.weight * ((p[i] ?? 0) - (i === reference.truth ? 1 : 0)), own]),
    );
  }
  const { divergence, distance, signed } = tallies;
  return {
    directions: [...columns, ...(signed === undefined ? [] : [loss])].map(combined),
    answer: (responses) => {
      const count = columns.length;
      for (let i = 0; i < divergence.now.length; i++) {
        let square = 0;
        for (let j = 0; j < count; j++) square += (responses[j]?.[i] ?? 0) ** 2;
        divergence.now[i] = (divergence.now[i] ?? 0) + square / 2;
        distance.now[i] = (distance.now[i] ?? 0) + Math.sqrt((all * square) / 8);
        if (signed === undefined) continue;
        signed.now[i] = (signed.now[i] ?? 0) + (responses[count]?.[i] ?? 0) + square / 2;
      }
      for (const tally of [divergence, distance, signed]) tally?.weigh(all);
    },
  };
};

/** The critical objects of a picture: each by itself as long as there are directions enough. */
const criticalQuestions = (asked: Asked, tallies: Tallies): Question[] => {
  const { most, random } = asked;
  const targets = targetsOf(asked);
  const widest = Math.max(1, ...targets.map(({ group }) => group.length - 1));
  const bundles = Math.max(1, Math.floor(most / widest));
  if (targets.length <= bundles) return targets.map((target) => alone(target, tallies));
  // Objects that stand together move together: those of a bundle are spread over the picture's order.
  return Array.from({ length: bundles }, (_, bundle) => {
    const own = targets.filter((__, index) => index % bundles === bundle);
    const [only] = own;
    return only !== undefined && own.length === 1 ? alone(only, tallies) : together(own, tallies, random);
  });
};

/** A square of all objects' sum with random signs, as the mean of what each has. */
const guard = (
  parts: readonly (readonly Slope[])[],
  tally: Tally,
  factor: number,
  { random, seen }: Asked,
): Question => ({
  directions: [combined(parts.map((part) => [sign(random), part]))],
  answer: ([responses]) => {
    for (let i = 0; i < tally.now.length; i++) {
      tally.now[i] = (tally.now[i] ?? 0) + factor * (responses?.[i] ?? 0) ** 2;
    }
    tally.weigh(seen.length);
  },
});

const objectnessQuestion = (asked: Asked, tallies: Tallies): Question => {
  const parts = asked.seen.map(({ raw, row }) => {
    const sure = 1 / (1 + Math.exp(-asked.rows.read(raw, 0, row).objectness));
    return combined([[Math.sqrt(sure * (1 - sure)), objectnessSlope(asked.rows, raw, row)]]);
  });
  return guard(parts, tallies.objectness, 1 / 2, asked);
};

const boxQuestion = (asked: Asked, tallies: Tallies): Question =>
  guard(
    asked.seen.flatMap(({ raw, row }) => edgeSlopes(asked.rows, raw, row)),
    tallies.box,
    1,
    asked,
  );

/** All classes, the critical ones of a group taken together. */
const othersQuestion = (asked: Asked, tallies: Tallies): Question => {
  const { rows, space, critical, seen } = asked;
  const { temperature, groups } = critical;
  const lumped = new Set(groups.flat());
  const parts = seen.flatMap(({ raw, row, index }) => {
    const start = index * compactWidth(space) + HEADER;
    const all = classSlopes(rows, raw, row, space);
    const logit = (id: number): number => (critical.rows[start + id] ?? 0) / temperature;
    const sets = [...groups, ...[...all.keys()].filter((id) => !lumped.has(id)).map((id) => [id])];
    const joined = sets.map((ids) => {
      const top = Math.max(...ids.map(logit));
      const shares = ids.map((id) => Math.exp(logit(id) - top));
      const sum = shares.reduce((a, b) => a + b, 0);
      return {
        logit: top + Math.log(sum),
        slope: combined(ids.map((id, i) => [(shares[i] ?? 0) / sum / temperature, all[id] ?? []])),
      };
    });
    const p = logSoftmax(
      joined.map((each) => each.logit),
      1,
    ).map(Math.exp);
    const root = fisherRoot(p);
    return Array.from({ length: p.length - 1 }, (_, column) =>
      combined(joined.map(({ slope }, i) => [root[i]?.[column] ?? 0, slope])),
    );
  });
  return guard(parts, tallies.others, 1 / 2, asked);
};

const GUARDS = [objectnessQuestion, boxQuestion, othersQuestion] as const;

/**
 * What is asked in one picture.
 *
 * @param turn the picture's number: guards take turns
 */
export const questionsOf = (asked: Asked, tallies: Tallies, turn: number, guards: boolean): Question[] => {
  const guardOf = GUARDS[turn % GUARDS.length];
  return [
    ...criticalQuestions(asked, tallies),
    ...(guards && guardOf !== undefined && asked.seen.length > 0 ? [guardOf(asked, tallies)] : []),
  ];
};
