import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import t from 'tap';
import {
  type Config,
  ConfigError,
  diffConfig,
  type JsonObject,
  layerConfig,
  loadConfig,
  mergePatch,
  parseConfig,
  readConfig,
  REMOTE_ALLOWED,
  zoneSchema,
} from '../../src/config/index.js';

const camera = { kind: 'replay', path: '/pictures' };
const local = (value: JsonObject = {}) => readConfig(JSON.stringify({ camera, ...value }), 'c.json');

/** The problems of work that must be refused. */
const problemsOf = (work: () => unknown): readonly string[] => {
  try {
    work();
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
  throw new Error('it was accepted');
};
const problems = (value: unknown): readonly string[] => problemsOf(() => parseConfig(value));

t.test('defaults are filled in', async (t) => {
  const config = parseConfig({ camera });
  t.match(config, {
    device: 'camera',
    logLevel: 'info',
    stateDir: '/var/lib/bitlane',
    camera: { kind: 'replay', fps: 30, pace: 'realtime', loop: true, stallTimeoutMs: 5_000 },
    detector: { threads: 1, scoreThreshold: 0.1 },
    counting: { intervals: [60, 900] },
    mqtt: { root: 'bitlane', protocolVersion: 5 },
    remote: { allow: [...REMOTE_ALLOWED] },
  });
  t.equal(config.mqtt.url, undefined, 'nothing leaves the device unless it is told where to');
  t.same(parseConfig({ camera: { kind: 'libcamera' } }).camera.kind, 'libcamera');
  t.same(config, parseConfig(config), 'a configuration with every default is a configuration');
});

t.test('every problem is a sentence with the key and the rule', async (t) => {
  const of = (value: JsonObject): readonly string[] => problems({ camera, ...value });
  for (const [found, wanted] of [
    [problems({}), ['camera is missing']],
    [problems([]), ['the configuration must be a mapping of keys']],
    [problems(null), ['the configuration must be a mapping of keys']],
    [problems({ camera: 5 }), ['camera must be a mapping of keys, not 5']],
    [problems({ camera: {} }), ['camera.kind must be one of libcamera, ffmpeg, replay, scene']],
    [
      problems({ camera: { kind: 'telescope' } }),
      ['camera.kind must be one of libcamera, ffmpeg, replay, scene'],
    ],
    [problems({ camera: { kind: 'replay' } }), ['camera.path is missing']],
    [of({ detektor: {} }), ['unknown key detektor; did you mean "detector"?']],
    [of({ detector: { thread: 1 } }), ['unknown key detector.thread; did you mean "threads"?']],
    [of({ zzzzzz: 1 }), ['unknown key zzzzzz']],
    [of({ 'a\nb': 1 }), ['unknown key "a\\nb"']],
    [of({ detector: { threads: 0 } }), ['detector.threads must be at least 1']],
    [of({ adaptation: { budget: { latencyMs: 0 } } }), ['adaptation.budget.latencyMs must be more than 0']],
    [of({ detector: { threads: 1.5 } }), ['detector.threads must be a whole number, not 1.5']],
    [of({ detector: { threads: '4' } }), ['detector.threads must be a number, not a text']],
    [of({ detector: null }), ['detector must be a mapping of keys, not empty']],
    [of({ logLevel: 'loud' }), ['logLevel must be one of error, warn, info, debug, not "loud"']],
    [
      of({ lines: [{ name: 'a', from: [0, 2], to: [1, 'x'] }] }),
      ['lines[0].from[1] must be at most 1', 'lines[0].to[1] must be a number, not a text'],
    ],
    [of({ zones: [{ name: 'a', polygon: [] }] }), ['zones[0].polygon must have at least 3 entries']],
    [
      problems({ camera: { kind: 'libcamera', width: 641, rotation: 90 } }),
      ['camera.width must be even', 'camera.rotation must be one of 0, 180'],
    ],
    [of({ mqtt: { url: 'http://x' } }), ['mqtt.url must be mqtt://, mqtts://, ws:// or wss:// and a host']],
    [
      of({ mqtt: { url: 'mqtt://user:geheim@x' } }),
      ['mqtt.url must not hold a user or password: use username and passwordFile'],
    ],
    [of({ mqtt: { certFile: '/a' } }), ['mqtt.certFile must be given together with keyFile']],
    [of({ mqtt: { password: 'geheim' } }), ['unknown key mqtt.password; did you mean "passwordFile"?']],
    [
      of({ remote: { allow: ['mqtt.nope'] } }),
      ['remote.allow names "mqtt.nope", which is no key of the configuration'],
    ],
  ] as const) {
    t.same(found, wanted);
    t.notMatch(found.join(), /geheim|\n/);
  }
  const two = { name: 'a', from: [0, 0], to: [1, 1] };
  t.match(of({ lines: [two, two] }), ['lines must not use a name twice']);
  t.match(of({ remote: { allow: ['device'] } }), [
    /^remote\.allow\[0\] must be a key of this file other than/,
  ]);
  const many = of(Object.fromEntries(Array.from({ length: 50 }, (_, index) => [`zz${index}`, 1])));
  t.equal(many.length, 21);
  t.equal(many.at(-1), 'and 30 more problems');
});

t.test('what makes no sense is refused, with one sentence', async (t) => {
  const of = (value: JsonObject): readonly string[] => problems({ camera, ...value });
  const ffmpeg = (input: string, more: JsonObject = {}): readonly string[] =>
    problems({ camera: { kind: 'ffmpeg', input, ...more } });
  const zone = (...polygon: [number, number][]): readonly string[] => of({ zones: [{ name: 'a', polygon }] });
  const line = (more: JsonObject): readonly string[] =>
    of({ lines: [{ name: 'a', from: [0, 0], to: [1, 1], ...more }] });
  const flat = 'must enclose an area: its points are the same or lie on one line';
  const crossed = 'must not cross itself: name its points in their order around the area';
  for (const [found, wanted] of [
    [zone([0.1, 0.1], [0.2, 0.2], [0.3, 0.3]), `zones[0].polygon ${flat}`],
    [zone([0.5, 0.5], [0.5, 0.5], [0.5, 0.5]), `zones[0].polygon ${flat}`],
    [zone([0.1, 0.1], [0.9, 0.1], [0.1, 0.1]), `zones[0].polygon ${flat}`],
    [zone([0.1, 0.1], [0.9, 0.9], [0.9, 0.1], [0.1, 0.9]), `zones[0].polygon ${crossed}`],
    [
      of({
        masks: [
          {
            name: 'a',
            polygon: [
              [0, 0],
              [1, 0],
              [0.5, 0],
            ],
          },
        ],
      }),
      `masks[0].polygon ${flat}`,
    ],
    [line({ to: [0, 0.0001] }), 'lines[0].to must be another point than from'],
    [line({ forward: 'out', backward: 'out' }), 'lines[0].backward must be another name than forward'],
    [line({ forward: '  ' }), 'lines[0].forward must not be blank'],
    [of({ tracking: { lowScore: 0.6 } }), 'tracking.lowScore must not be above highScore'],
    [of({ detector: { classes: [] } }), 'detector.classes must have at least 1 entries'],
    [of({ detector: { classes: ['car', 'car'] } }), 'detector.classes must not name a class twice'],
    [
      of({ detector: { restartInitialMs: 20_000 } }),
      'detector.restartInitialMs must not be above restartMaxMs',
    ],
    [of({ mqtt: { reconnectMaxMs: 10 } }), 'mqtt.reconnectInitialMs must not be above reconnectMaxMs'],
    [
      of({ mqtt: { url: 'mqtt://:1883' } }),
      'mqtt.url must name a host, and where it names a port one from 1 to 65535',
    ],
    [
      of({ mqtt: { url: 'mqtt://b:70000' } }),
      'mqtt.url must name a host, and where it names a port one from 1 to 65535',
    ],
    [
      problems({ camera: { ...camera, restartMaxMs: 100 } }),
      'camera.restartInitialMs must not be above restartMaxMs',
    ],
    [of({ telemetry: { outboxMaxRows: 0 } }), 'telemetry.outboxMaxRows must be at least 100'],
    [of({ telemetry: { outboxMaxBytes: 0 } }), 'telemetry.outboxMaxBytes must be at least 1048576'],
    [of({ counting: { intervals: [60, 60] } }), 'counting.intervals must not name an interval twice'],
    [
      ffmpeg('udp://10.0.0.7:1'),
      'camera.input must be rtsp://, rtsps://, http:// or https://, a video device or a file',
    ],
    [ffmpeg('rtsp://[broken/1'), 'camera.input must be a valid address'],
    [
      ffmpeg('rtsp://10.0.0.7/1', { passwordFile: '/p' }),
      'camera.passwordFile must be given together with an input that is an address and names a user (rtsp://user@...)',
    ],
    [ffmpeg('/dev/video0', { loop: true }), 'camera.loop must be false: only a file can begin again'],
    [
      ffmpeg('http://10.0.0.7/1', { pace: 'fast' }),
      'camera.pace must be realtime: only a file can be read faster',
    ],
  ] as const) {
    t.same(found, [wanted]);
  }
});

t.test('what is unusual, but makes sense, is taken', async (t) => {
  const closed = [
    [0.1, 0.1],
    [0.9, 0.1],
    [0.9, 0.9],
    [0.1, 0.1],
  ];
  const notched = [
    [0, 0],
    [1, 0],
    [0.5, 0.5],
    [1, 1],
    [0, 1],
  ];
  const config = parseConfig({
    camera: { kind: 'ffmpeg', input: 'rtsps://admin@10.0.0.7/1', passwordFile: '/p' },
    tracking: { lowScore: 0.5, highScore: 0.5 },
    zones: [
      { name: 'a', polygon: closed },
      { name: 'b', polygon: notched },
    ],
    mqtt: { url: 'wss://broker.example/mqtt' },
  });
  t.equal(config.zones.length, 2);
  for (const input of ['a: strange, name.mp4', 'concat:/etc/passwd|a', 'film.mp4']) {
    t.equal(parseConfig({ camera: { kind: 'ffmpeg', input, loop: true } }).camera.kind, 'ffmpeg');
  }
});

t.test('polygons around a point are taken, and refused when two of their points change places', async () => {
  const around = fc
    .tuple(
      fc.integer({ min: 4, max: 12 }),
      fc.array(fc.double({ min: 0.1, max: 0.5, noNaN: true }), { minLength: 12, maxLength: 12 }),
    )
    .map(([count, radii]) =>
      Array.from({ length: count }, (_, index): [number, number] => {
        const [angle, radius] = [(2 * Math.PI * (index + 0.25)) / count, radii[index] ?? 0.3];
        return [0.5 + radius * Math.cos(angle), 0.5 + radius * Math.sin(angle)];
      }),
    );
  fc.assert(
    fc.property(around, fc.integer({ min: 0, max: 11 }), (polygon, at) => {
      const takes = (points: readonly [number, number][]): boolean =>
        zoneSchema.safeParse({ name: 'a', polygon: points }).success;
      const turned = [...polygon.slice(at % polygon.length), ...polygon.slice(0, at % polygon.length)];
      const [first, second, ...rest] = turned;
      if (first === undefined || second === undefined) return false;
      return (
        takes(turned) &&
        takes(turned.toReversed()) &&
        (polygon.length > 4 || !takes([second, first, ...rest]))
      );
    }),
  );
});

t.test('YAML and JSON files, and what is none', async (t) => {
  const folder = t.testdir({
    'good.yaml': '# here\ncamera: { kind: replay, path: /pictures }\ndevice: north\n',
    'good.json': '{"camera":{"kind":"replay","path":"/pictures"},"device":"north"}',
    'yaml.json': 'device: north\n',
    'twice.yaml': 'device: a\ndevice: b\n',
    'two.yaml': 'device: a\n---\ndevice: b\n',
    'torn.yaml': 'camera: { kind: replay\n',
    'empty.yaml': '',
    'secret.json': '{"mqtt":{"password": geheim}}',
  });
  for (const name of ['good.yaml', 'good.json'])
    t.equal(loadConfig(join(folder, name)).config.device, 'north');
  for (const [name, rule] of [
    ['yaml.json', /^it is not JSON: Unexpected token/],
    ['twice.yaml', /^it is not YAML: Map keys must be unique \(line 2\)$/],
    ['two.yaml', /^it is not YAML: .*multiple documents/],
    ['torn.yaml', /^it is not YAML: .*\(line 2\)$/],
    ['empty.yaml', /must be a mapping of keys/],
    ['secret.json', /^it is not JSON: Unexpected token$/],
    ['absent.yaml', /^the file does not exist: make it/],
    ['', /^it is not a file$/],
  ] as const) {
    const [first, ...others] = problemsOf(() => loadConfig(join(folder, name)));
    t.match(first, rule, name);
    t.same(others, []);
  }
  mkdirSync(join(folder, 'large'));
  writeFileSync(join(folder, 'large', 'c.yaml'), `# ${'x'.repeat(300_000)}\n`);
  t.match(
    problemsOf(() => loadConfig(join(folder, 'large', 'c.yaml'))),
    [/^it is larger than 262144 bytes$/],
  );
});

t.test('text that is made to hurt is refused', async (t) => {
  const laugh = ['a: &a [x,x,x,x,x,x,x,x,x]']
    .concat(
      ['b', 'c', 'd', 'e', 'f'].map(
        (name, index) => `${name}: &${name} [${`*${'abcde'[index]},`.repeat(9)}]`,
      ),
    )
    .join('\n');
  for (const [text, rule] of [
    [laugh, /Excessive alias count/],
    ['&a {x: *a}', /nested more than 32 levels deep/],
    ['a: &a [*a, *a]', /nested more than 32 levels deep/],
    ['['.repeat(100_000), /nested too deeply/],
    ['- '.repeat(100_000), /nested too deeply/],
    ['? '.repeat(100_000), /nested too deeply/],
    ['{a: '.repeat(60_000), /nested too deeply/],
    [Array.from({ length: 600 }, (_, depth) => `${' '.repeat(depth)}a:`).join('\n'), /nested too deeply/],
    [`${'['.repeat(40)}${']'.repeat(40)}`, /nested more than 32 levels deep/],
    ['a: '.repeat(10_000), /not YAML/],
  ] as const) {
    t.match(problemsOf(() => readConfig(text, 'c.yaml')).join(), rule, text.slice(0, 40));
  }
  for (const [text, rule] of [
    ['{"a":'.repeat(40_000) + '1' + '}'.repeat(40_000), /nested more than 32 levels deep/],
    ['['.repeat(200_000), /not JSON/],
  ] as const) {
    t.match(problemsOf(() => readConfig(text, 'c.json')).join(), rule);
  }
});

t.test('a merge patch follows the appendix of RFC 7396', async (t) => {
  for (const [target, patch, result] of [
    [{ a: 'b' }, { a: 'c' }, { a: 'c' }],
    [{ a: 'b' }, { b: 'c' }, { a: 'b', b: 'c' }],
    [{ a: 'b' }, { a: null }, {}],
    [{ a: 'b', b: 'c' }, { a: null }, { b: 'c' }],
    [{ a: ['b'] }, { a: 'c' }, { a: 'c' }],
    [{ a: 'c' }, { a: ['b'] }, { a: ['b'] }],
    [{ a: { b: 'c' } }, { a: { b: 'd', c: null } }, { a: { b: 'd' } }],
    [{ a: [{ b: 'c' }] }, { a: [1] }, { a: [1] }],
    [
      ['a', 'b'],
      ['c', 'd'],
      ['c', 'd'],
    ],
    [{ a: 'b' }, ['c'], ['c']],
    [{ a: 'foo' }, 'bar', 'bar'],
    [{ e: null }, { a: 1 }, { e: null, a: 1 }],
    [[1, 2], { a: 'b', c: null }, { a: 'b' }],
    [{}, { a: { bb: { ccc: null } } }, { a: { bb: {} } }],
  ] as const) {
    // One level down, because a configuration and a change set are mappings themselves.
    t.strictSame(mergePatch({ v: target }, { v: patch }), { v: result }, JSON.stringify([target, patch]));
  }
  const target = { a: { b: [1] } };
  mergePatch(target, { a: { b: null } });
  t.strictSame(target, { a: { b: [1] } }, 'the target stays as it was');
});

t.test('a change set is laid over the file, where remote.allow lets it', async (t) => {
  const file = local({ detector: { threads: 2, scoreThreshold: 0.3 }, device: 'north' });
  const layered = layerConfig(file, { detector: { threads: 3, scoreThreshold: null }, camera: { fps: 5 } });
  t.match(layered, { detector: { threads: 3, scoreThreshold: 0.1 }, camera: { fps: 5 }, device: 'north' });
  t.equal(layerConfig(file, {}).detector.threads, 2);
  t.equal(layerConfig(file, { detector: null }).detector.threads, 1, 'null goes back to the default');
  t.equal(file.config.detector.threads, 2, 'the file stays as it was');
  for (const [changes, key] of [
    [{ device: 'x' }, 'device'],
    [{ stateDir: null }, 'stateDir'],
    [{ mqtt: { url: 'mqtt://evil' } }, 'mqtt'],
    [{ camera: { path: '/etc' } }, 'camera.path'],
    [{ camera: null }, 'camera'],
    [{ camera: [] }, 'camera'],
    [{ telemetry: { snapshots: true } }, 'telemetry.snapshots'],
    [{ telemetry: null }, 'telemetry'],
    [{ masks: [] }, 'masks'],
    [{ remote: { allow: ['mqtt'] } }, 'remote'],
    [{ 'a\nb': 1 }, '"a\\nb"'],
    [{ constructor: { prototype: { device: 'x' } } }, 'constructor'],
    [JSON.parse('{"__proto__":{"device":"x"}}'), '__proto__'],
    [JSON.parse('{"camera":{"__proto__":{"fps":1}}}'), 'camera.__proto__'],
  ] as const) {
    t.same(
      problemsOf(() => layerConfig(file, changes as JsonObject)),
      [`${key} may not be changed remotely: remote.allow does not list it`],
      key,
    );
  }
  for (const [changes, rule] of [
    [JSON.parse('{"detector":{"__proto__":{"threads":9}}}'), 'unknown key detector.__proto__'],
    [{ detector: { constructor: 1 } }, 'unknown key detector.constructor'],
    [{ 'detector.threads': 3 }, 'unknown key "detector.threads"; did you mean "detector"?'],
    [{ camera: { width: 640 } }, 'unknown key camera.width'],
    [{ detector: { threads: 99 } }, 'detector.threads must be at most 64'],
  ] as const) {
    const [first] = problemsOf(() => layerConfig(file, changes as JsonObject));
    t.ok(first?.startsWith(rule.slice(0, 25)), `${first} / ${rule}`);
  }
  t.equal(({} as Record<string, unknown>)['device'], undefined, 'no prototype was touched');
  t.equal(
    layerConfig(local({ remote: { allow: ['mqtt.url'] } }), { mqtt: { url: 'ws://b' } }).mqtt.url,
    'ws://b',
  );
  t.throws(() => layerConfig(local({ remote: { allow: [] } }), { site: 'x' }), ConfigError);
  let deep: JsonObject = {};
  for (let level = 0; level < 50_000; level += 1) deep = { detector: deep };
  t.match(
    problemsOf(() => layerConfig(file, deep)),
    [/nested more than 32 levels deep/],
  );
});

t.test('a difference names the keys and who must take them up', async (t) => {
  const old = parseConfig({ camera });
  const diff = (value: JsonObject): [readonly string[], readonly string[], string[]] => {
    const next: Config = parseConfig({ camera, ...value });
    const { changed, restartRequired, parts } = diffConfig(old, next);
    return [changed, restartRequired, [...parts].sort()];
  };
  t.same(diff({}), [[], [], []]);
  t.same(diff({ device: 'x', logLevel: 'warn' }), [['device', 'logLevel'], ['device'], ['log']]);
  t.same(diff({ site: 'bridge' }), [['site'], [], ['info']]);
  t.same(diff({ detector: { threads: 2 }, swap: { canaryFrames: 3 } }), [
    ['detector.threads', 'swap.canaryFrames'],
    [],
    ['detector', 'swap'],
  ]);
  const line = { name: 'a', from: [0, 0], to: [1, 1] };
  t.same(diff({ lines: [line] }), [['lines'], [], ['counting']]);
  t.same(diff({ mqtt: { root: 'x', url: 'mqtt://b' } }), [
    ['mqtt.root', 'mqtt.url'],
    ['mqtt.root'],
    ['mqtt'],
  ]);
  t.same(diff({ telemetry: { outboxMaxRows: 100, frames: true } }), [
    ['telemetry.frames', 'telemetry.outboxMaxRows'],
    ['telemetry.outboxMaxRows'],
    ['telemetry'],
  ]);
  const other = parseConfig({ camera: { kind: 'ffmpeg', input: '/dev/video0' } });
  t.ok(diffConfig(old, other).changed.includes('camera.path'), 'a key that went is a change');
  t.same([...diffConfig(old, other).parts], ['camera']);
});
