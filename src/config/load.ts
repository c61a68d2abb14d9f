// A configuration file becomes a validated configuration; a remote change set is laid over it.
import { readFileSync, statSync } from 'node:fs';
import { extname } from 'node:path';
import { parseDocument } from 'yaml';
import { messageOf } from '../errors.js';
import { isObject, isWithinDepth, type JsonObject, mergePatch } from './json.js';
import { isKey, knownKeys } from './keys.js';
import { ConfigError, describeProblems, pathText } from './problems.js';
import { type Config, configSchema } from './schema.js';

/** Far above any configuration; what the YAML parser does with text made to hurt it grows with the square of its length. */
const MAX_FILE_BYTES = 262_144;
const MAX_DEPTH = 32;
const MAX_ALIASES = 100;
const MAX_BRACKETS = 128;

/** A configuration as it stands in a file, and what it means with every default filled in. */
export interface LocalConfig {
  /** Where it came from, for sentences. */
  readonly source: string;
  readonly value: JsonObject;
  readonly config: Config;
}

/**
 * Validates a value and fills in the defaults.
 *
 * @param source what the value is called in the error
 * @throws ConfigError with one sentence a problem
 */
export const parseConfig = (value: unknown, source = 'the configuration'): Config => {
  if (!isWithinDepth(value, MAX_DEPTH)) {
    throw new ConfigError(source, [`it is nested more than ${MAX_DEPTH} levels deep`]);
  }
  if (!isObject(value)) throw new ConfigError(source, ['the configuration must be a mapping of keys']);
  const parsed = configSchema.safeParse(value, { reportInput: true });
  if (!parsed.success) {
    throw new ConfigError(source, describeProblems(parsed.error, 'the configuration', knownKeys));
  }
  const unknown = parsed.data.remote.allow.filter((key) => !isKey(key));
  if (unknown.length > 0) {
    throw new ConfigError(
      source,
      unknown.map((key) => `remote.allow names "${key}", which is no key of the configuration`),
    );
  }
  return parsed.data;
};

/** A parser's own words, without the excerpt of the file that it quotes: a password may stand there. */
const oneLine = (message: string): string =>
  (message.replace(/^(Unexpected token) .*$/s, '$1').split('\n')[0] ?? '')
    .replace(/[\p{Cc}\u2028\u2029]+/gu, ' ')
    .replace(/:$/, '')
    .slice(0, 200);

/**
 * Whether text is nested so deeply that the YAML parser, which recurses, would take minutes or end the process. Strings and
 * comments are counted too: no configuration needs this many brackets in them either.
 */
const isTooDeepToParse = (text: string): boolean => {
  let depth = 0;
  for (const [mark] of text.matchAll(/[[\]{}]/g)) {
    depth = mark === '[' || mark === '{' ? depth + 1 : Math.max(0, depth - 1);
    if (depth > MAX_BRACKETS) return true;
  }
  // "- - - x" opens a list at every dash, and lines that are indented more and more a mapping at every line.
  return /(?:[-?:][ \t]+){64}/.test(text) || /^[ \t]{256}/m.test(text);
};

const parseYaml = (text: string, source: string): unknown => {
  if (isTooDeepToParse(text)) throw new ConfigError(source, ['it is nested too deeply']);
  const document = parseDocument(text, { logLevel: 'error', strict: true, prettyErrors: false });
  const problem = document.errors[0];
  if (problem !== undefined) {
    const line = text.slice(0, problem.pos[0]).split('\n').length;
    throw new ConfigError(source, [`it is not YAML: ${oneLine(problem.message)} (line ${line})`]);
  }
  return document.toJS({ maxAliasCount: MAX_ALIASES });
};

const parseText = (text: string, source: string, isJson: boolean): unknown => {
  try {
    return isJson ? JSON.parse(text) : parseYaml(text, source);
  } catch (error) {
    if (error instanceof ConfigError) throw error;
    const why = error instanceof RangeError ? 'it is nested too deeply' : oneLine(messageOf(error));
    throw new ConfigError(source, [`it is not ${isJson ? 'JSON' : 'YAML'}: ${why}`], { cause: error });
  }
};

/**
 * Validates the text of a configuration file.
 *
 * @throws ConfigError with one sentence a problem
 */
export const readConfig = (
  text: string,
  source: string,
  isJson = extname(source) === '.json',
): LocalConfig => {
  if (Buffer.byteLength(text) > MAX_FILE_BYTES) {
    throw new ConfigError(source, [`it is larger than ${MAX_FILE_BYTES} bytes`]);
  }
  const value = parseText(text, source, isJson);
  const config = parseConfig(value, source);
  // parseConfig let only a mapping through.
  return { source, value: value as JsonObject, config };
};

/**
 * Reads a configuration file: YAML, or JSON where its name ends in `.json`.
 *
 * @throws ConfigError when it cannot be read or breaks the schema
 */
export const loadConfig = (path: string): LocalConfig => {
  let text: string;
  try {
    const stat = statSync(path);
    if (!stat.isFile()) throw new ConfigError(path, ['it is not a file']);
    if (stat.size > MAX_FILE_BYTES)
      throw new ConfigError(path, [`it is larger than ${MAX_FILE_BYTES} bytes`]);
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if (error instanceof ConfigError) throw error;
    const missing = error instanceof Error && 'code' in error && error.code === 'ENOENT';
    throw new ConfigError(
      path,
      [
        missing
          ? 'the file does not exist: make it (docs/configuration.md has every key), or name another'
          : `it cannot be read (${messageOf(error)})`,
      ],
      {
        cause: error,
      },
    );
  }
  return readConfig(text, path);
};

const covers = (allowed: string, path: string): boolean => path === allowed || path.startsWith(`${allowed}.`);

/** The keys of a change set that `allow` does not cover, as paths. */
export const forbiddenKeys = (
  changes: JsonObject,
  allow: readonly string[],
  under: readonly string[] = [],
): (readonly string[])[] =>
  Object.entries(changes).flatMap(([key, value]) => {
    const path = [...under, key];
    const name = path.join('.');
    if (allow.some((allowed) => covers(allowed, name))) return [];
    const mayHold = allow.some((allowed) => allowed.startsWith(`${name}.`));
    return mayHold && isObject(value) ? forbiddenKeys(value, allow, path) : [path];
  });

/**
 * The configuration with a remote change set laid over the local file: defaults < file < change set.
 *
 * @throws ConfigError when a key may not be changed remotely, or the result breaks the schema
 */
export const layerConfig = (local: LocalConfig, changes: JsonObject): Config => {
  const source = 'the remote change set';
  if (!isWithinDepth(changes, MAX_DEPTH)) {
    throw new ConfigError(source, [`it is nested more than ${MAX_DEPTH} levels deep`]);
  }
  const forbidden = forbiddenKeys(changes, local.config.remote.allow);
  if (forbidden.length > 0) {
    throw new ConfigError(
      source,
      forbidden
        .slice(0, 20)
        .map((path) => `${pathText(path)} may not be changed remotely: remote.allow does not list it`),
    );
  }
  return parseConfig(mergePatch(local.value, changes), source);
};
