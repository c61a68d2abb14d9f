// Which classes are critical: pairs by the confusion matrix or by name, groups of pairs that hang together, costs of confusions.
import { BitlaneError } from '../errors.js';
import { confusedPairs, type ConfusionMatrix } from '../evaluation/index.js';
import { foldName } from '../registry/index.js';
import type { Cost } from './measures.js';

/** Two classes, by their indices; the first is the smaller one. */
export type Pair = readonly [number, number];

const badUsage = (message: string): BitlaneError => new BitlaneError('BAD_USAGE', message);

const indexOf = (name: string, classes: readonly string[], option: string): number => {
  const index = classes.findIndex((known) => foldName(known) === foldName(name));
  if (index >= 0) return index;
  throw badUsage(
    `${option} names ${JSON.stringify(name)}, which is no class that is evaluated (${classes.join(', ')})`,
  );
};

const namesIn = (text: string, part: string, option: string): [string, string] => {
  const [a = '', b = '', ...more] = text.split(':').map((name) => name.trim());
  if (a !== '' && b !== '' && more.length === 0) return [a, b];
  throw badUsage(`${option} takes ${part}, and ${JSON.stringify(text)} is not one`);
};

const partsOf = (text: string): string[] =>
  text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');

/**
 * Pairs written `a:b,...`.
 *
 * @throws BitlaneError `BAD_USAGE`
 */
export const parsePairs = (text: string, classes: readonly string[]): Pair[] => {
  const pairs = partsOf(text).map((part): Pair => {
    const [a, b] = namesIn(part, 'pairs class:class,...', '--pairs').map((name) =>
      indexOf(name, classes, '--pairs'),
    );
    if (a === undefined || b === undefined || a === b) {
      throw badUsage(`--pairs: ${JSON.stringify(part)} is one class and not two`);
    }
    return a < b ? [a, b] : [b, a];
  });
  if (pairs.length === 0) throw badUsage('--pairs takes pairs class:class,..., and there is none');
  return [...new Map(pairs.map((pair) => [pair.join(), pair])).values()];
};

/**
 * Costs written `truth:predicted=cost,...`.
 *
 * @throws BitlaneError `BAD_USAGE`
 */
export const parseCosts = (text: string, classes: readonly string[]): Cost[] =>
  partsOf(text).map((part) => {
    const at = part.lastIndexOf('=');
    const cost = Number(part.slice(at + 1));
    if (at < 0 || part.slice(at + 1).trim() === '' || !(cost > 0) || !Number.isFinite(cost)) {
      throw badUsage(
        `--costs takes truth:predicted=cost,... with costs above 0, and ${JSON.stringify(part)} is not one`,
      );
    }
    const [truth, predicted] = namesIn(part.slice(0, at), 'truth:predicted=cost,...', '--costs').map((name) =>
      indexOf(name, classes, '--costs'),
    );
    return { truth: truth ?? 0, predicted: predicted ?? 0, cost };
  });

/** The critical pairs of a confusion matrix. */
export const pairsOf = (confusion: ConfusionMatrix, eligible: readonly boolean[]): Pair[] =>
  confusedPairs(confusion, { eligible })
    .filter(({ critical }) => critical)
    .map(({ a, b }): Pair => [a, b]);

/** Classes that hang together by pairs, each group and all groups in rising order. */
export const groupsOf = (pairs: readonly Pair[]): number[][] => {
  const group = new Map<number, Set<number>>();
  for (const [a, b] of pairs) {
    const joined = new Set([...(group.get(a) ?? [a]), ...(group.get(b) ?? [b])]);
    for (const id of joined) group.set(id, joined);
  }
  return [...new Set(group.values())]
    .map((ids) => [...ids].sort((a, b) => a - b))
    .sort((a, b) => (a[0] ?? 0) - (b[0] ?? 0));
};
