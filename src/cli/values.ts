// Values of command-line options: what is no number, or out of range, is refused with a sentence.
import { BitlaneError } from '../errors.js';

export interface NumberRule {
  readonly min: number;
  readonly max: number;
  readonly integer?: boolean;
}

/**
 * A number that an option was given, or `fallback` where it was not.
 * @param option as it is written: `--limit`
 * @throws BitlaneError `BAD_USAGE`
 */
export const numberOption = <Fallback>(
  option: string,
  text: string | undefined,
  { min, max, integer = false }: NumberRule,
  fallback: Fallback,
): number | Fallback => {
  if (text === undefined) return fallback;
  const value = Number(text);
  const isNumber = /^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$/i.test(text.trim());
  if (!isNumber || value < min || value > max || (integer && !Number.isInteger(value))) {
    throw new BitlaneError(
      'BAD_USAGE',
      `${option} takes a ${integer ? 'whole ' : ''}number from ${min} to ${max}, not ${JSON.stringify(text)}`,
    );
  }
  return value;
};

/**
 * One of a few words.
 * @throws BitlaneError `BAD_USAGE`
 */
export const choice = <const Word extends string>(
  option: string,
  text: string,
  words: readonly Word[],
): Word => {
  const found = words.find((word) => word === text);
  if (found !== undefined) return found;
  throw new BitlaneError('BAD_USAGE', `${option} takes ${words.join(', ')}, not ${JSON.stringify(text)}`);
};

/** `a,b,c` as its parts, without blanks around them and without empty ones. */
export const listOption = (text: string): string[] =>
  text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');

/** Rows of cells as lines: columns as wide as their widest cell, the first flush left and the others flush right. */
export const alignColumns = (rows: readonly (readonly string[])[]): string[] => {
  const columns = Math.max(0, ...rows.map((row) => row.length));
  const widths = Array.from({ length: columns }, (_, column) =>
    Math.max(...rows.map((row) => (row[column] ?? '').length)),
  );
  return rows.map((row) =>
    row
      .map((cell, column) =>
        column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0),
      )
      .join('  ')
      .trimEnd(),
  );
};
