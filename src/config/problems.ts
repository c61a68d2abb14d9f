// What is wrong with a value, in plain sentences: the key, the rule, and for an unknown key the nearest known one.
import type { z } from 'zod';
import { BitlaneError } from '../errors.js';

const MAX_PROBLEMS = 20;
const MAX_SHOWN = 60;

/** Outside text as it may stand in a sentence: one line, short. */
export const quote = (text: string): string =>
  JSON.stringify(text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}...` : text).replace(
    // What JSON may hold raw and a terminal or a log reader may still take for a command or a new line.
    /[\p{Cc}\u2028\u2029]/gu,
    (mark) => `\\u${mark.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );

/** A configuration or change set that breaks its schema: one sentence a problem. */
export class ConfigError extends BitlaneError {
  readonly problems: readonly string[];

  constructor(where: string, problems: readonly string[], options?: { cause?: unknown }) {
    super('BAD_CONFIG', `${where}: ${problems.join('; ')}`, options);
    this.name = 'ConfigError';
    this.problems = problems;
  }
}

const article = (type: string): string =>
  ({
    string: 'a text',
    number: 'a number',
    int: 'a whole number',
    boolean: 'true or false',
    array: 'a list',
    tuple: 'a list',
    object: 'a mapping of keys',
    record: 'a mapping of keys',
    null: 'null',
    nan: 'a number',
  })[type] ?? type;

const kindOf = (value: unknown): string => {
  if (value === undefined) return 'missing';
  if (value === null) return 'empty';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'number') return Number.isFinite(value) ? String(value) : 'no finite number';
  if (typeof value === 'boolean') return String(value);
  return typeof value === 'string' ? 'a text' : 'a mapping of keys';
};

const sizeUnit = (origin: string): string =>
  origin === 'string' ? ' characters' : origin === 'array' || origin === 'tuple' ? ' entries' : '';

const own = (message: string): string | undefined => (message.startsWith('must ') ? message : undefined);

const ruleOf = (issue: z.core.$ZodIssue): string => {
  switch (issue.code) {
    case 'invalid_type':
      return issue.input === undefined
        ? 'is missing'
        : `must be ${article(issue.expected)}, not ${kindOf(issue.input)}`;
    case 'too_small':
    case 'too_big': {
      const isOpen = issue.inclusive === false;
      const [word, limit] =
        issue.code === 'too_small'
          ? [isOpen ? 'more than' : 'at least', issue.minimum]
          : [isOpen ? 'less than' : 'at most', issue.maximum];
      const verb = sizeUnit(issue.origin) === '' ? 'be' : 'have';
      return own(issue.message) ?? `must ${verb} ${word} ${limit}${sizeUnit(issue.origin)}`;
    }
    case 'not_multiple_of':
      return issue.divisor === 2 ? 'must be even' : `must be a multiple of ${issue.divisor}`;
    case 'invalid_value': {
      const given = typeof issue.input === 'string' ? quote(issue.input) : kindOf(issue.input);
      const allowed = issue.values.map(String).join(', ');
      return issue.input === undefined
        ? `is missing (${allowed})`
        : `must be one of ${allowed}, not ${given}`;
    }
    case 'invalid_format':
      return own(issue.message) ?? `must be written as ${issue.format}`;
    case 'custom':
      return own(issue.message) ?? issue.message;
    case 'invalid_union':
    case 'invalid_key':
    case 'invalid_element':
    case 'unrecognized_keys':
      return own(issue.message) ?? 'does not fit its schema';
  }
};

const distance = (a: string, b: string): number => {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (const [i, left] of [...a].entries()) {
    const next = [i + 1];
    for (const [j, right] of [...b].entries()) {
      next.push(
        Math.min((row[j + 1] ?? 0) + 1, (next[j] ?? 0) + 1, (row[j] ?? 0) + (left === right ? 0 : 1)),
      );
    }
    row = next;
  }
  return row.at(-1) ?? 0;
};

const nearest = (key: string, known: readonly string[]): string | undefined => {
  if (key.length > MAX_SHOWN) return undefined;
  let best: { name: string; far: number } | undefined;
  for (const name of known) {
    const far = distance(key.toLowerCase(), name.toLowerCase());
    if (best === undefined || far < best.far) best = { name, far };
  }
  // "password" is farther from "passwordFile" than any typing error, but meant all the same.
  const longer = known.find((name) => key.length >= 4 && name.toLowerCase().startsWith(key.toLowerCase()));
  if (longer !== undefined && best?.far !== 0) return longer;
  return best !== undefined && best.far <= Math.max(1, Math.floor(key.length / 3)) ? best.name : undefined;
};

/** `lines[0].from`; an empty path is the whole thing. */
export const pathText = (path: readonly PropertyKey[]): string =>
  path
    .map((part, index) =>
      typeof part === 'number'
        ? `[${part}]`
        : `${index === 0 ? '' : '.'}${/^[\w-]{1,64}$/.test(String(part)) ? String(part) : quote(String(part))}`,
    )
    .join('');

/** The keys that may stand at a path. */
export type KnownKeys = (path: readonly PropertyKey[]) => readonly string[];

const inUnion = (issue: z.core.$ZodIssueInvalidUnion, whole: string, known: KnownKeys): string[] => {
  const at = pathText(issue.path) || whole;
  if (issue.discriminator !== undefined) {
    const kinds = 'options' in issue && Array.isArray(issue.options) ? issue.options.map(String) : [];
    // zod's path ends at the discriminator in some of its versions.
    const path =
      issue.path.at(-1) === issue.discriminator ? issue.path : [...issue.path, issue.discriminator];
    return [`${pathText(path)} must be one of ${kinds.join(', ') || 'the known kinds'}`];
  }
  // The branch that came furthest says most: a list of numbers is better told "[1] must be at most 1" than "fits nothing".
  const branches = issue.errors.filter((branch) => branch.length > 0);
  if (branches.every((branch) => branch[0]?.code === 'invalid_value' && branch[0].path.length === 0)) {
    const values = branches.flatMap((branch) =>
      branch[0]?.code === 'invalid_value' ? branch[0].values.map(String) : [],
    );
    return [`${at} must be one of ${values.join(', ')}`];
  }
  const best = branches.toSorted((a, b) => (b[0]?.path.length ?? 0) - (a[0]?.path.length ?? 0))[0] ?? [];
  return best.flatMap((inner) =>
    problemsOf({ ...inner, path: [...issue.path, ...inner.path] }, whole, known),
  );
};

const problemsOf = (issue: z.core.$ZodIssue, whole: string, known: KnownKeys): string[] => {
  if (issue.code === 'unrecognized_keys') {
    const siblings = known(issue.path);
    return issue.keys.map((key) => {
      const near = nearest(key, siblings);
      const hint = near === undefined ? '' : `; did you mean "${near}"?`;
      return `unknown key ${pathText([...issue.path, key])}${hint}`;
    });
  }
  if (issue.code === 'invalid_union') return inUnion(issue, whole, known);
  return [`${pathText(issue.path) || whole} ${ruleOf(issue)}`];
};

/**
 * One sentence for every problem of `error` (at most twenty). Values are shown only where they are one of a few words, so a
 * misplaced password does not reach a log.
 *
 * @param whole what the value as a whole is called
 */
export const describeProblems = (error: z.ZodError, whole: string, known: KnownKeys = () => []): string[] => {
  const all = [...new Set(error.issues.flatMap((issue) => problemsOf(issue, whole, known)))];
  if (all.length <= MAX_PROBLEMS) return all.length === 0 ? [`${whole} does not fit its schema`] : all;
  return [...all.slice(0, MAX_PROBLEMS), `and ${all.length - MAX_PROBLEMS} more problems`];
};
