// What every frame source must do, whatever stands behind it.
import { randomUUID } from 'node:crypto';
import t, { type Test } from 'tap';
import { createFrameSource, type FrameSource } from '../../src/camera/index.js';
import { type CameraConfig, cameraSchema } from '../../src/config/index.js';
import { silentLog } from '../../src/system/index.js';
import type { Frame } from '../../src/vision/index.js';
import { listeners, marked, openDescriptors, saidBy, type Seen, until, watch } from './watch.js';

/** A source that is set up for one test. */
export interface Rig {
  /** Checked by the schema, with short times; each test may add to it. */
  readonly config: Record<string, unknown>;
  readonly environment: NodeJS.ProcessEnv;
}

export interface Trouble {
  readonly rig: Rig;
  /** Makes the trouble happen once frames have come; nothing when it comes by itself. */
  readonly provoke?: (seen: Seen, source: FrameSource) => Promise<void>;
  /** Puts right what was provoked, where the source cannot come back without that. */
  readonly repair?: () => void;
}

export interface Subject {
  readonly name: string;
  readonly skip: string | false;
  readonly size: { readonly width: number; readonly height: number };
  readonly format: Frame['format'];
  readonly cycles: number;
  /** A source that delivers without end. `folder` is empty and goes with the test; `mark` must be in the environment. */
  steady(folder: string, mark: string): Promise<Rig>;
  /** Frames, then silence. */
  stall(folder: string, mark: string): Promise<Trouble | string>;
  /** Frames, then the end of what delivers them. */
  exit(folder: string, mark: string): Promise<Trouble>;
  /** Frames, then one that is torn. */
  torn(folder: string, mark: string): Promise<Trouble>;
  /** Checks the bytes of a frame of a steady source. */
  checkData(t: Test, frame: Frame): void | Promise<void>;
}

const TIMES = { stallTimeoutMs: 20_000, restartInitialMs: 10, restartMaxMs: 40 };

const make = (rig: Rig, more: Record<string, unknown> = {}): FrameSource => {
  const config: CameraConfig = cameraSchema.parse({ ...TIMES, ...rig.config, ...more });
  return createFrameSource(config, { log: silentLog, environment: rig.environment });
};

const checkFrames = async (t: Test, subject: Subject, frames: readonly Frame[]): Promise<void> => {
  const fits = (frame: Frame): boolean =>
    frame.format === subject.format &&
    frame.width === subject.size.width &&
    frame.height === subject.size.height;
  t.ok(frames.length > 0 && frames.every(fits), 'every frame has the format and size of the source');
  const rising = (value: (frame: Frame) => number, step: (by: number) => boolean): boolean =>
    frames.slice(1).every((frame, index) => step(value(frame) - value(frames[index] ?? frame)));
  t.ok(
    rising(
      (frame) => frame.seq,
      (by) => by >= 1,
    ),
    'numbers rise',
  );
  t.ok(
    rising(
      (frame) => frame.receivedAtMs,
      (by) => by >= 0,
    ),
    'time does not go back',
  );
  t.ok(
    frames.every(
      (frame) => Math.abs(frame.wallMs - (performance.timeOrigin + frame.receivedAtMs)) < 3_600_000,
    ),
    'wall time is the same moment',
  );
  const [first, last] = [frames.at(0), frames.at(-1)];
  if (first !== undefined) await subject.checkData(t, first);
  if (last !== undefined) await subject.checkData(t, last);
};

/** Runs `body` and makes sure that nothing of its source is left. */
const withSource = async (
  t: Test,
  mark: string,
  source: FrameSource,
  body: (seen: Seen) => Promise<void>,
): Promise<void> => {
  const seen = watch(source);
  try {
    await body(seen);
  } finally {
    const stopped = source.stop();
    const said = saidBy(seen);
    await stopped;
    await source.stop();
    t.equal(source.state, 'stopped');
    t.same(marked(mark), [], 'no process is left');
    t.equal(listeners(), 0, 'no socket listens');
    await new Promise((resolve) => setTimeout(resolve, 60));
    t.equal(saidBy(seen), said, 'nothing is said after the stop');
  }
};

/** Trouble comes, is told in a sentence and counted, and frames come again, numbered on. */
const survives = async (
  t: Test,
  subject: Subject,
  trouble: Trouble,
  source: FrameSource,
  mark: string,
  bad: number,
): Promise<void> =>
  withSource(t, mark, source, async (seen) => {
    source.start();
    await until('frames', () => seen.frames.length >= 2);
    await trouble.provoke?.(seen, source);
    await until('the problem', () => seen.problems.length > 0 && source.counters.bad >= bad);
    const before = seen.frames.length;
    trouble.repair?.();
    await until('frames after the trouble', () => {
      source.ready();
      return seen.frames.length >= before + 2 && source.state === 'running';
    });
    t.ok(source.counters.restarts >= 1, 'the restart is counted');
    t.match(seen.problems[0], /^\S.*\S$/, 'the problem is told');
    t.ok(
      seen.waits.every((ms) => ms > 0 && ms <= TIMES.restartMaxMs),
      'the wait is bounded',
    );
    t.equal(source.counters.bad, seen.bad.length);
    t.ok(seen.states.includes('waiting'));
    await checkFrames(t, subject, seen.frames);
  });

export const contract = (subject: Subject): void => {
  t.setTimeout(280_000);
  const test = (name: string, body: (t: Test, folder: string, mark: string) => Promise<void>): void => {
    t.test(`${subject.name}: ${name}`, { skip: subject.skip, timeout: 240_000 }, async (t) => {
      await body(t, t.testdir({}), randomUUID());
    });
  };

  test('frames arrive whole and in order, and nothing is left after a stop', async (t, folder, mark) => {
    const source = make(await subject.steady(folder, mark));
    t.equal(source.state, 'stopped');
    await withSource(t, mark, source, async (seen) => {
      source.start();
      source.start();
      t.equal(source.state, 'starting');
      await until('frames', () => seen.frames.length >= 8);
      t.equal(source.state, 'running');
      t.same(source.size, subject.size);
      t.equal(source.counters.received, seen.frames.length + source.counters.skipped);
      t.match(source.counters, { bad: 0, restarts: 0, stalls: 0 });
      t.same(seen.states, ['starting', 'running']);
      t.same(seen.problems, []);
      await checkFrames(t, subject, seen.frames);
    });
  });

  test('a stalled source is restarted', async (t, folder, mark) => {
    const trouble = await subject.stall(folder, mark);
    if (typeof trouble === 'string') {
      t.pass(`cannot stall: ${trouble}`);
      return;
    }
    const source = make(trouble.rig, { stallTimeoutMs: 4_000 });
    await survives(t, subject, trouble, source, mark, 0);
    t.ok(source.counters.stalls >= 1, 'the stall is counted');
  });

  test('a source whose end comes too early is restarted', async (t, folder, mark) => {
    const trouble = await subject.exit(folder, mark);
    await survives(t, subject, trouble, make(trouble.rig), mark, 0);
  });

  test('a torn frame is dropped and counted', async (t, folder, mark) => {
    const trouble = await subject.torn(folder, mark);
    const source = make(trouble.rig);
    await withSource(t, mark, source, async (seen) => {
      source.start();
      await until('frames', () => seen.frames.length >= 1);
      await trouble.provoke?.(seen, source);
      await until('the torn frame', () => {
        source.ready();
        return source.counters.bad >= 1;
      });
      const before = seen.frames.length;
      await until('frames after it', () => {
        source.ready();
        return seen.frames.length >= before + 2;
      });
      t.match(seen.bad[0], /torn|broken|stops|has /);
      t.equal(source.counters.bad, seen.bad.length);
      await checkFrames(t, subject, seen.frames);
    });
  });

  test('it is restarted when asked, and numbers go on', async (t, folder, mark) => {
    const source = make(await subject.steady(folder, mark));
    await withSource(t, mark, source, async (seen) => {
      source.start();
      await until('frames', () => seen.frames.length >= 2);
      const before = marked(mark);
      await source.restart();
      const count = seen.frames.length;
      await until('frames after the restart', () => seen.frames.length >= count + 2);
      t.ok(
        marked(mark).every((pid) => !before.includes(pid)),
        'no process lives through it',
      );
      t.match(source.counters, { restarts: 1, stalls: 0 });
      t.same(seen.problems, []);
      await checkFrames(t, subject, seen.frames);
    });
    await source.restart();
    t.equal(source.state, 'stopped', 'a stopped source stays stopped');
    source.start();
    await until('frames after a new start', () => source.state === 'running');
    await source.stop();
    t.same(marked(mark), []);
  });

  test(`nothing is left after ${subject.cycles} starts and stops`, async (t, folder, mark) => {
    const rig = await subject.steady(folder, mark);
    const cycle = async (index: number): Promise<void> => {
      const source = make(rig);
      const seen = watch(source);
      source.start();
      // Some are stopped at once, some somewhere in their start, some while they deliver.
      if (index % 10 === 0) await until('a frame', () => seen.frames.length >= 1);
      else await new Promise((resolve) => setTimeout(resolve, (index * 13) % 60));
      await source.stop();
      if (seen.problems.length > 0) throw new Error(seen.problems[0]);
    };
    for (let index = 0; index < 5; index += 1) await cycle(index);
    const before = openDescriptors();
    for (let index = 0; index < subject.cycles; index += 1) await cycle(index);
    t.same(marked(mark), [], 'no process');
    t.equal(listeners(), 0, 'no listener');
    await until('descriptors to be closed', () => openDescriptors() <= before);
    t.ok(openDescriptors() <= before, 'no descriptor');
  });
};
