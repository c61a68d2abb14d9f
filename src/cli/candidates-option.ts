// The option that says whose allocations are tried, and what was seen of them.
import type { Command } from 'commander';
import { type CandidateScore, PORTFOLIO } from '../adaptation/index.js';
import { type ObjectiveName, OBJECTIVES } from '../allocation/index.js';
import { alignColumns, choice } from './values.js';

/** Adds the option to a command. */
export const withCandidates = (command: Command): Command =>
  command.option(
    '--candidates <names>',
    `objectives whose allocations are tried, too, the best as a whole model being kept, or none (default: ${PORTFOLIO.join(',')} with --objective semantic)`,
  );

/**
 * Undefined where nobody said.
 *
 * @throws BitlaneError `BAD_USAGE` for a name that is no objective
 */
export const candidatesOf = (text: string | undefined): ObjectiveName[] | undefined => {
  if (text === undefined) return undefined;
  return text === 'none' ? [] : text.split(',').map((name) => choice('--candidates', name, OBJECTIVES));
};

/** A table of what each did; nothing where none was compared. */
export const candidateLines = (scores: readonly CandidateScore[]): string[] => {
  if (scores.every(({ damage }) => damage === null)) return [];
  const rows = scores.map(({ objective, damage, sameAs, isChosen }) => [
    objective,
    damage === null ? (sameAs === undefined ? 'does not fit' : `as ${sameAs}`) : damage.toPrecision(4),
    isChosen ? 'chosen' : '',
  ]);
  return alignColumns([['candidate', 'damage of the whole', ''], ...rows]);
};
