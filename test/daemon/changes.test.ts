import t from 'tap';
import { type ConfigPart, diffConfig, parseConfig } from '../../src/config/index.js';
import { Changes, type Takers } from '../../src/daemon/changes.js';
import { silentLog } from '../../src/system/index.js';
import type { DesiredChange } from '../../src/telemetry/index.js';

const PARTS = [
  'info',
  'log',
  'model',
  'camera',
  'detector',
  'swap',
  'tracking',
  'counting',
  'mqtt',
  'telemetry',
  'remote',
] as const;
const previous = parseConfig({ camera: { kind: 'replay', path: '/a' } });
const wanted = parseConfig({
  camera: { kind: 'replay', path: '/b' },
  logLevel: 'debug',
  detector: { threads: 2 },
  tracking: { minHits: 5 },
  masks: [
    {
      name: 'left',
      polygon: [
        [0, 0],
        [0.5, 0],
        [0.5, 1],
      ],
    },
  ],
});

const setUp = (refusing?: ConfigPart) => {
  const calls: string[] = [];
  const takers = Object.fromEntries(
    PARTS.map((part) => [
      part,
      async (config: unknown) => {
        if (part === refusing && config === wanted) throw new Error(`${part} says no`);
        calls.push(`${part} ${config === wanted ? 'wanted' : 'previous'}`);
      },
    ]),
  ) as unknown as Takers;
  const nameOf = (config: unknown): string => (config === wanted ? 'wanted' : 'previous');
  const masks = {
    begin: (config: unknown) => void calls.push(`masks beside ${nameOf(config)}`),
    settle: (config: unknown) => void calls.push(`masks ${nameOf(config)}`),
  };
  const verdicts: unknown[] = [];
  const change: DesiredChange = {
    version: 3,
    config: wanted,
    previous,
    diff: diffConfig(previous, wanted),
    accept: () => void verdicts.push('accepted'),
    reject: (errors) => void verdicts.push(errors),
  };
  return { calls, verdicts, change, changes: new Changes(takers, masks, silentLog) };
};

t.test('only what changed is taken up, what can refuse first', async (t) => {
  const { calls, verdicts, change, changes } = setUp();
  await changes.take(change);
  t.same(calls, [
    'masks beside wanted',
    'camera wanted',
    'detector wanted',
    'log wanted',
    'tracking wanted',
    'masks wanted',
  ]);
  t.same(verdicts, ['accepted']);
});

t.test('a part that refuses: all of it is taken back, and the reason told', async (t) => {
  const { calls, verdicts, change, changes } = setUp('detector');
  await changes.take(change);
  t.same(calls, ['masks beside wanted', 'camera wanted', 'camera previous', 'masks previous']);
  t.same(verdicts, [['detector says no']]);
});

t.test('changes are taken up one after the other', async (t) => {
  const one = setUp();
  const order: string[] = [];
  const slow: DesiredChange = { ...one.change, accept: () => void order.push('first') };
  const fast: DesiredChange = { ...one.change, accept: () => void order.push('second') };
  await Promise.all([one.changes.take(slow), one.changes.take(fast)]);
  t.same(order, ['first', 'second']);
});
