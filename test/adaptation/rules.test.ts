// Rules of the loop without processes: when it begins, when a candidate is good, when a model goes back, when the ladder is walked.
import t from 'tap';
import { judge, labelsTell } from '../../src/adaptation/index.js';
import { comparisonSchema, evidenceSchema } from '../../src/adaptation/documents.js';
import { LadderWalk } from '../../src/adaptation/loop/ladder-walk.js';
import { LadderSteps, stepFrom } from '../../src/adaptation/loop/ladder.js';
import { type LiveFigures, LiveRecord, worseThanBefore } from '../../src/adaptation/loop/live.js';
import { dueTrigger, hasDrifted, inWindow } from '../../src/adaptation/loop/triggers.js';
import { adaptationSchema } from '../../src/config/index.js';
import type { FrameResult } from '../../src/detector/index.js';
import { ConfusionMatrix } from '../../src/evaluation/index.js';
import type { Artifact } from '../../src/registry/index.js';
import { silentLog } from '../../src/system/index.js';

const config = (change: object = {}) => adaptationSchema.parse({ enabled: true, ...change });
const at = (time: string): Date => new Date(`2026-03-10T${time}:00`);
const DAY = 86_400_000;

t.test('hours may go over midnight; none are all', async (t) => {
  const night = [{ from: '22:30', to: '04:00' }];
  for (const [time, is] of [
    ['22:29', false],
    ['22:30', true],
    ['23:59', true],
    ['00:00', true],
    ['03:59', true],
    ['04:00', false],
    ['12:00', false],
  ] as const) {
    t.equal(inWindow(night, at(time)), is, time);
  }
  t.equal(inWindow([], at('12:00')), true);
  t.equal(inWindow([{ from: '12:00', to: '13:00' }, ...night], at('12:30')), true);
});

t.test('pairs are compared as sets, whatever their order and spelling', async (t) => {
  t.equal(hasDrifted([['car', 'truck']], [['Truck', 'car']]), false);
  t.equal(hasDrifted([['car', 'truck']], [['car', 'bus']]), true);
  t.equal(hasDrifted([['car', 'truck']], []), true);
  t.equal(
    hasDrifted(
      [['car', 'truck']],
      [
        ['car', 'truck'],
        ['bus', 'truck'],
      ],
    ),
    true,
  );
});

t.test('what is due', async (t) => {
  const now = at('02:00');
  const moment = {
    now,
    lastEndMs: now.getTime() - 8 * DAY,
    adaptedTo: [['car', 'truck']] as const,
    critical: [['car', 'truck']] as const,
    throttledMs: 0,
    budgetChanged: false,
  };
  const night = config({ schedule: [{ from: '01:00', to: '04:00' }] });
  t.equal(dueTrigger(night, moment), 'schedule');
  t.equal(dueTrigger(night, { ...moment, now: at('05:00') }), undefined, 'not by day');
  t.equal(dueTrigger({ ...night, enabled: false }, moment), undefined);
  t.equal(dueTrigger(night, { ...moment, lastEndMs: now.getTime() - 3 * DAY }), undefined, 'too soon');
  t.equal(dueTrigger(night, { ...moment, lastEndMs: undefined }), 'schedule', 'the first');
  t.equal(dueTrigger(config(), moment), undefined, 'no hours, no schedule');
  t.equal(dueTrigger(config(), { ...moment, critical: [['bus', 'truck']] }), 'drift');
  t.equal(dueTrigger(config(), { ...moment, critical: [] }), undefined, 'nothing observed is no drift');
  t.equal(dueTrigger(config(), { ...moment, adaptedTo: undefined }), 'drift', 'the first confusions are one');
  t.equal(dueTrigger(config({ onDrift: false }), { ...moment, critical: [['bus', 'truck']] }), undefined);
  t.equal(dueTrigger(config(), { ...moment, budgetChanged: true }), 'budget');
  t.equal(dueTrigger(config({ onHeat: true }), { ...moment, throttledMs: 31 * 60_000 }), 'heat');
  t.equal(dueTrigger(config(), { ...moment, throttledMs: 31 * 60_000 }), undefined);
  t.equal(
    dueTrigger(config(), { ...moment, budgetChanged: true, lastEndMs: now.getTime() - DAY / 2 }),
    undefined,
    'nothing begins again and again',
  );
  const ahead = { ...moment, lastEndMs: now.getTime() + 400 * DAY };
  t.equal(dueTrigger(night, ahead), 'schedule', 'the clock was wrong when the last one ended');
  t.equal(dueTrigger(config(), { ...ahead, critical: [['bus', 'truck']] }), 'drift');
  t.equal(dueTrigger(night, { ...ahead, now: at('05:00') }), undefined);
  t.equal(
    dueTrigger(config(), { ...moment, budgetChanged: true, lastEndMs: now.getTime() + DAY / 24 }),
    undefined,
    'a clock that lags by an hour until it is set begins nothing',
  );
});

const rules = { minPictures: 30, minObjects: 20, maxDrop: 0.02 };
const interval = (value: number, spread = 0.01) => ({ value, low: value - spread, high: value + spread });
const judgedAs = (criticalAccuracy: number, criticalObjects = 100) => ({
  map50: 0.6,
  map5095: 0.4,
  criticalAccuracy,
  criticalObjects,
  confusion: new ConfusionMatrix(
    ['a'],
    [
      [1, 0],
      [0, 0],
    ],
  ),
});
const labels = (change: object = {}) =>
  ({
    kind: 'labels',
    comparison: {
      data: 'd',
      split: 'val',
      pictures: 100,
      before: judgedAs(0.8),
      after: judgedAs(0.8),
      map50Change: interval(-0.005),
      map5095Change: interval(0),
      criticalChange: interval(0.01),
      ...change,
    },
  }) as const;

t.test('a candidate is judged by labels where there are enough', async (t) => {
  t.match(judge(labels(), rules), { accepted: true, reason: /mAP50 -0\.005 .*mAP50-95 \+0\.000 .*critical/ });
  t.match(judge(labels({ map50Change: interval(-0.03) }), rules), { accepted: false, reason: /finds less/ });
  t.match(
    judge(labels({ map50Change: interval(NaN) }), rules),
    { accepted: false },
    'what is not known is not good',
  );
  t.match(judge(labels({ criticalChange: interval(-0.05) }), rules), {
    accepted: false,
    reason: /tells the critical classes apart worse/,
  });
  t.match(
    judge(labels({ criticalChange: interval(-0.005) }), rules),
    { accepted: true },
    'chance is no reason',
  );
  t.match(judge(labels({ after: judgedAs(NaN, 0) }), rules), { accepted: false });
  t.match(judge(labels({ pictures: 10 }), rules), { accepted: false, reason: /not enough/ });
  t.match(judge(labels({ before: judgedAs(0.8, 3) }), rules), { accepted: false, reason: /not enough/ });
});

t.test('few labels do not tell by themselves: the FP32 model is heard, too', async (t) => {
  const wide = { map50Change: interval(-0.05, 0.2) };
  t.ok(labelsTell(labels().comparison.map50Change));
  t.notOk(labelsTell(interval(-0.05, 0.2)));
  t.notOk(labelsTell(interval(NaN)));
  t.match(judge(labels(wide), rules), { accepted: false, reason: /finds less/ }, 'nobody else was asked');
  const heard = (value: number, change: object = wide, frames = 100) => ({
    ...labels(change),
    agreement: { frames, objects: 200, before: 0.9, after: 0.9, change: interval(value) },
  });
  t.match(judge(heard(0), rules), { accepted: true, reason: /mAP50 -0\.050 .* agreement .* on 100 frames/ });
  t.match(judge(heard(-0.05), rules), { accepted: false, reason: /says less of what the FP32 model says/ });
  t.match(judge(heard(0, { map50Change: interval(-0.4, 0.2) }), rules), {
    accepted: false,
    reason: /finds less/,
  });
  t.match(judge(heard(0, { map50Change: interval(NaN) }), rules), { accepted: false });
  t.match(judge(heard(0, { ...wide, criticalChange: interval(-0.05) }), rules), {
    accepted: false,
    reason: /apart worse/,
  });
  t.match(judge(heard(0, wide, 3), rules), { accepted: false, reason: /finds less/ }, 'too few frames');
  const back = evidenceSchema.parse(JSON.parse(JSON.stringify(heard(0))));
  t.same(JSON.parse(JSON.stringify(back)), JSON.parse(JSON.stringify(heard(0))));
});

t.test('and by the word of the FP32 model else', async (t) => {
  const teacher = (change: object) =>
    ({
      kind: 'teacher',
      agreement: { frames: 100, objects: 200, before: 0.9, after: 0.9, change: interval(0), ...change },
    }) as const;
  t.match(judge(teacher({}), rules), { accepted: true, reason: /agreement/ });
  t.match(judge(teacher({ change: interval(-0.05) }), rules), { accepted: false });
  const named = (change: object) => teacher({ naming: { before: 0.9, after: 0.8, change } });
  t.match(judge(named(interval(-0.05, 0.06)), rules), { accepted: true, reason: /on names -0\.050/ });
  t.match(judge(named(interval(-0.05, 0.04)), rules), { accepted: false, reason: /other names/ });
  t.match(judge(teacher({ frames: 3 }), rules), { accepted: false, reason: /not enough/ });
});

t.test('evidence comes out of its file as it went in, NaN and matrices included', async (t) => {
  const evidence = labels({ after: judgedAs(NaN, 0) });
  const back = evidenceSchema.parse(JSON.parse(JSON.stringify(evidence)));
  t.same(JSON.parse(JSON.stringify(back)), JSON.parse(JSON.stringify(evidence)));
  const comparison = comparisonSchema.parse(JSON.parse(JSON.stringify(evidence.comparison)));
  t.ok(Number.isNaN(comparison.after.criticalAccuracy));
  t.equal(comparison.before.confusion.count(0, 0), 1);
});

const live = (change: Partial<LiveFigures> = {}): LiveFigures => ({
  frames: 1_000,
  seconds: 100,
  fps: 10,
  p95Ms: 50,
  detections: 2_000,
  confidence: 0.7,
  tracks: 100,
  flipsPerTrack: 0.4,
  nonFinite: 0,
  ...change,
});

t.test('a model on the road goes back for a reason, and never for too little seen', async (t) => {
  const { watch } = config();
  const verdict = (after: Partial<LiveFigures>, before: Partial<LiveFigures> = {}, latencyMs?: number) =>
    worseThanBefore(live(before), live(after), watch, latencyMs);
  t.equal(verdict({}), undefined);
  t.match(verdict({ nonFinite: 1, frames: 1 }), /not finite/);
  t.match(verdict({ fps: 7 }), /7\.0 frames a second/);
  t.equal(verdict({ fps: 7, frames: 50 }), undefined);
  t.equal(verdict({ fps: 7 }, { frames: 10 }), undefined, 'nothing to compare with');
  t.match(verdict({ confidence: 0.55 }), /0\.15 below/);
  t.equal(verdict({ confidence: 0.55, detections: 30 }), undefined);
  t.match(verdict({ flipsPerTrack: 1.2 }), /1\.2 times/);
  t.equal(verdict({ flipsPerTrack: 1.2, tracks: 5 }), undefined);
  t.equal(
    verdict({ flipsPerTrack: 0.3 }, { flipsPerTrack: 0 }),
    undefined,
    'hardly any flips are hardly any',
  );
  t.match(verdict({ p95Ms: 61 }, {}, 60), /more than the budget of 60 ms/);
  t.equal(verdict({ p95Ms: 59 }, {}, 60), undefined);
});

t.test('what the camera does not deliver is nothing that a model misses', (t) => {
  const record = new LiveRecord(0);
  const result = {
    detections: [],
    nonFinite: 0,
    timings: { preprocessMs: 1, inferenceMs: 2, postprocessMs: 1 },
  };
  for (let ms = 0; ms <= 60_000; ms += 100) {
    // Away for 20 seconds.
    if (ms < 10_000 || ms > 30_000) record.result(result as unknown as FrameResult, ms);
  }
  const { fps, seconds } = record.figures;
  t.ok(Math.abs(fps - 10) < 0.2, `${fps} frames a second`);
  t.ok(Math.abs(seconds - 40) < 0.5);
  t.end();
});

t.test('where there is no rung a step is none, and what has held is believed again', (t) => {
  const steps = new LadderSteps();
  const rules = { downSeconds: 10, upSeconds: 100 };
  let down = true;
  const see = (strained: boolean, second: number) =>
    steps.see(strained, 1000 * second, rules, { down, up: !down });
  t.equal(see(false, 0), undefined);
  t.equal(see(false, 150), undefined, 'it is on the top');
  t.equal(see(true, 200), undefined);
  t.equal(see(true, 210), 'down');
  down = false;
  for (let second = 220; second <= 300; second += 10) t.equal(see(true, second), undefined, 'at the bottom');
  t.equal(see(false, 301), undefined);
  t.equal(see(false, 400), undefined);
  t.equal(see(false, 401), 'up', 'patience is what it was');
  down = true;
  t.equal(see(true, 402), undefined);
  t.equal(see(true, 412), 'down', 'too soon');
  down = false;
  t.equal(see(false, 413), undefined);
  t.equal(see(false, 513), undefined);
  t.equal(see(false, 613), 'up', 'twice as long');
  down = true;
  t.equal(see(false, 820), undefined, 'it has held');
  t.equal(see(true, 821), undefined);
  t.equal(see(true, 831), 'down');
  down = false;
  t.equal(see(false, 832), undefined);
  t.equal(see(false, 932), 'up', 'as long as at first');
  t.end();
});

t.test('the ladder is walked down within seconds, and up with patience', async (t) => {
  const steps = new LadderSteps();
  const rules = { downSeconds: 10, upSeconds: 100 };
  const see = (strained: boolean, second: number) => steps.see(strained, 1000 * second, rules);
  t.equal(see(true, 0), undefined);
  t.equal(see(true, 9), undefined);
  t.equal(see(true, 10), 'down');
  t.equal(see(true, 15), undefined);
  t.equal(see(true, 20), 'down', 'one more where one step was not enough');
  t.equal(see(false, 21), undefined);
  t.equal(see(true, 100), undefined);
  t.equal(see(false, 105), undefined, 'a moment is no strain');
  t.equal(see(false, 204), undefined);
  t.equal(see(false, 205), 'up');
  t.equal(see(true, 210), undefined);
  t.equal(see(true, 220), 'down', 'that was too soon');
  t.equal(see(false, 221), undefined);
  t.equal(see(false, 330), undefined, 'so the next try waits twice as long');
  t.equal(see(false, 421), 'up');
  const rungs = ['a', 'b', 'c'].map((id) => ({ id, runMs: 1 }));
  t.same(
    [
      stepFrom(rungs, 'a', 'down'),
      stepFrom(rungs, 'c', 'down'),
      stepFrom(rungs, 'b', 'up'),
      stepFrom(rungs, 'a', 'up'),
    ],
    ['b', undefined, 'a', undefined],
  );
  t.equal(stepFrom(rungs, 'x', 'down'), undefined);
});

t.test('a device that is held back serves the next rung, and the better one again', async (t) => {
  const [best, fast] = ['a'.repeat(64), 'b'.repeat(64)];
  const rungs = [
    { id: best, runMs: 50 },
    { id: fast, runMs: 20 },
  ];
  const deployed: string[] = [];
  let active = best;
  const serving = {
    get artifact() {
      return { id: active } as Artifact;
    },
    deploy: (id: string) => {
      deployed.push(id);
      active = id;
      return Promise.resolve({ committed: true });
    },
    use: () => Promise.resolve(),
  };
  const walk = new LadderWalk(serving, silentLog);
  const rules = { downSeconds: 2, upSeconds: 10 };
  const frame = (inferenceMs: number): void => {
    const timings = { preprocessMs: 1, inferenceMs, postprocessMs: 1 };
    walk.result({ artifactId: active, timings } as FrameResult);
  };
  const see = (throttled: boolean, second: number) => walk.see(rungs, throttled, 60, rules, 1000 * second);
  t.equal(await see(true, 0), false);
  t.equal(await see(true, 2), true, 'throttled for long enough');
  t.equal(await see(true, 5), false, 'there is no rung below');
  t.equal(await see(false, 6), false);
  t.equal(await see(false, 16), true);
  for (let i = 0; i < 64; i++) frame(70);
  t.equal(await see(false, 17), false);
  t.equal(await see(false, 19), true, 'frames over the budget are strain, too');
  t.same(deployed, [fast, best, fast]);
  active = 'c'.repeat(64);
  t.equal(await see(true, 100), false, 'what is on no rung stays');
  t.equal(await see(true, 110), false);
});
