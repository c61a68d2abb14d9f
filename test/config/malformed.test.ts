import fc from 'fast-check';
import t from 'tap';
import {
  ConfigError,
  type JsonObject,
  layerConfig,
  parseConfig,
  readConfig,
} from '../../src/config/index.js';
import { scaled } from '../helpers/fuzz.js';

const good: JsonObject = {
  device: 'north',
  camera: { kind: 'ffmpeg', input: 'rtsp://10.0.0.2/stream', fps: 10 },
  detector: { threads: 2, classes: ['car', 'truck'] },
  lines: [{ name: 'in', from: [0, 0.5], to: [1, 0.5] }],
  zones: [
    {
      name: 'stop',
      polygon: [
        [0, 0],
        [1, 0],
        [1, 1],
      ],
    },
  ],
  counting: { intervals: [60] },
  mqtt: { url: 'mqtts://broker.example', username: 'a', passwordFile: '/p' },
  remote: { allow: ['detector', 'site', 'camera.fps'] },
};

/** Paths of everything in a value. */
const pathsOf = (
  value: unknown,
  path: readonly (string | number)[] = [],
): (readonly (string | number)[])[] => [
  path,
  ...(typeof value === 'object' && value !== null
    ? Object.entries(value).flatMap(([key, child]) => pathsOf(child, [...path, key]))
    : []),
];
const replaced = (value: unknown, path: readonly (string | number)[], by: unknown): unknown => {
  const [key, ...rest] = path;
  if (key === undefined) return by;
  if (Array.isArray(value))
    return value.map((child, at) => (at === Number(key) ? replaced(child, rest, by) : (child as unknown)));
  const entries = Object.entries(value as object);
  return Object.fromEntries(
    entries.map(([name, child]) => [name, name === key ? replaced(child, rest, by) : (child as unknown)]),
  );
};

const nasty = fc.oneof(
  fc.jsonValue({ maxDepth: 4 }) as fc.Arbitrary<unknown>,
  fc.constantFrom<unknown>(
    null,
    undefined,
    NaN,
    Infinity,
    -0,
    1e308,
    2 ** 53,
    '',
    '\0',
    '\n',
    '__proto__',
    'x'.repeat(5_000),
    [],
    {},
    true,
    JSON.parse('{"__proto__":{"kind":"replay"}}'),
    { constructor: null },
  ),
);
const mutated = fc
  .array(fc.tuple(fc.constantFrom(...pathsOf(good).slice(1)), nasty), { minLength: 1, maxLength: 3 })
  .map((changes) =>
    changes.reduce<unknown>((value, [path, by]) => {
      try {
        return replaced(value, path, by);
      } catch {
        return value; // an earlier change took this path away
      }
    }, good),
  );
const extended = fc
  .tuple(fc.string(), nasty, fc.constantFrom('', 'camera', 'detector', 'mqtt'))
  .map(([key, value, at]) =>
    at === '' ? { ...good, [key]: value } : { ...good, [at]: { ...(good[at] as JsonObject), [key]: value } },
  );
const cut = fc.tuple(fc.nat(), fc.nat(), fc.string({ maxLength: 5 })).map(([from, length, into]) => {
  const text = JSON.stringify(good, null, 1);
  const at = from % text.length;
  return text.slice(0, at) + into + text.slice(at + (length % 20));
});

let valid = 0;
let refused = 0;

/** Work either gives a configuration, or one kind of error in plain sentences; anything else is thrown on. */
const judge = (work: () => unknown): void => {
  try {
    work();
    valid += 1;
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    refused += 1;
    if (error.code !== 'BAD_CONFIG' || error.problems.length === 0 || error.problems.length > 21) throw error;
    for (const problem of error.problems) {
      if (
        problem.length === 0 ||
        problem.length > 400 ||
        /[\p{Cc}\u2028\u2029]/u.test(problem) ||
        /undefined|\[object|NaN/.test(problem)
      ) {
        throw new Error(`not a plain sentence: ${JSON.stringify(problem)}`);
      }
    }
  }
};

t.test(
  '10,000 malformed configurations: a valid configuration or plain sentences, and the last good one stays',
  async (t) => {
    const last = readConfig(JSON.stringify(good), 'good.json');
    const before = JSON.stringify(last);
    const run = <T>(arbitrary: fc.Arbitrary<T>, runs: number, use: (value: T) => void): void =>
      fc.assert(fc.property(arbitrary, use), { numRuns: scaled(runs) });
    run(mutated, 3_000, (value) => judge(() => parseConfig(value)));
    run(extended, 1_000, (value) => judge(() => parseConfig(value)));
    run(nasty, 1_000, (value) => judge(() => parseConfig(value)));
    run(cut, 1_500, (text) => judge(() => readConfig(text, 'c.json')));
    run(cut, 1_500, (text) => judge(() => readConfig(text, 'c.yaml')));
    run(fc.string({ unit: 'binary', maxLength: 200 }), 1_000, (text) =>
      judge(() => readConfig(text, 'c.yaml')),
    );
    run(fc.dictionary(fc.string(), fc.jsonValue()), 1_000, (changes) =>
      judge(() => layerConfig(last, changes as JsonObject)),
    );
    t.equal(valid + refused, scaled(10_000));
    t.ok(valid > 100 && refused > 5_000, `${valid} valid, ${refused} refused`);
    t.equal(JSON.stringify(last), before);
    t.equal(({} as Record<string, unknown>)['kind'], undefined);
  },
);
