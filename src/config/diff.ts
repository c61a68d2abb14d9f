// What changed between two configurations, and what the change asks for.
import { canonical, isObject } from './json.js';
import type { Config } from './schema.js';

/** The part of the daemon that takes a change up while running. */
export type ConfigPart =
  | 'info'
  | 'log'
  | 'model'
  | 'camera'
  | 'detector'
  | 'swap'
  | 'tracking'
  | 'counting'
  | 'masks'
  | 'examples'
  | 'adaptation'
  | 'mqtt'
  | 'telemetry'
  | 'remote';

export interface ConfigDiff {
  /** Paths of the keys that differ, sorted; a list is one key. */
  readonly changed: readonly string[];
  /** Those of them that take effect at the next start only. */
  readonly restartRequired: readonly string[];
  /** What must take the other changes up now. */
  readonly parts: ReadonlySet<ConfigPart>;
}

const PARTS: Readonly<Record<keyof Config, ConfigPart | 'restart'>> = {
  device: 'restart',
  stateDir: 'restart',
  runtimeDir: 'restart',
  site: 'info',
  logLevel: 'log',
  model: 'model',
  camera: 'camera',
  detector: 'detector',
  swap: 'swap',
  tracking: 'tracking',
  lines: 'counting',
  zones: 'counting',
  counting: 'counting',
  masks: 'masks',
  examples: 'examples',
  confusions: 'examples',
  adaptation: 'adaptation',
  mqtt: 'mqtt',
  telemetry: 'telemetry',
  remote: 'remote',
};

/** Below parts that are otherwise taken up while running. */
const RESTART: ReadonlySet<string> = new Set([
  'mqtt.root',
  'mqtt.embeddedPort',
  'telemetry.outboxMaxRows',
  'telemetry.outboxMaxBytes',
]);

/** Keys that take effect at the next start only. */
export const RESTART_KEYS: readonly string[] = [
  ...Object.entries(PARTS).flatMap(([key, part]) => (part === 'restart' ? [key] : [])),
  ...RESTART,
];

const leaves = (value: unknown, path: string, into: Map<string, string>): Map<string, string> => {
  if (isObject(value)) {
    for (const [key, child] of Object.entries(value))
      leaves(child, path === '' ? key : `${path}.${key}`, into);
  } else if (value !== undefined) {
    into.set(path, canonical(value));
  }
  return into;
};

export const diffConfig = (old: Config, next: Config): ConfigDiff => {
  const before = leaves(old, '', new Map());
  const after = leaves(next, '', new Map());
  const changed = [...new Set([...before.keys(), ...after.keys()])]
    .filter((path) => before.get(path) !== after.get(path))
    .sort();
  const restartRequired: string[] = [];
  const parts = new Set<ConfigPart>();
  for (const path of changed) {
    const part = PARTS[(path.split('.')[0] ?? '') as keyof Config];
    if (part === 'restart' || RESTART.has(path)) restartRequired.push(path);
    else parts.add(part);
  }
  return { changed, restartRequired, parts };
};
