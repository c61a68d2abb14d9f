// When the adapter rests: the rule under a clock of its own, and real processes that rest and wake.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import t from 'tap';
import { Adapter, LEAST_SHARE, MOST_OWED_MS, Rests, runJob } from '../../src/adaptation/index.js';
import { isAlive, processesBelow } from '../helpers/daemon.js';
import { makeFixture } from '../significance/fixture.js';
import { smallJob } from './jobs.js';

/** Rests with a clock that a test moves. */
const withClock = () => {
  let now = 0;
  let due: { readonly at: number; readonly work: () => void } | undefined;
  const spent = { resting: 0, working: 0 };
  let rests = false;
  const object = new Rests((value) => (rests = value), {
    now: () => now,
    after: (ms, work) => {
      const own = { at: now + ms, work };
      due = own;
      return () => {
        if (due === own) due = undefined;
      };
    },
  });
  const moveTo = (at: number): void => {
    spent[rests ? 'resting' : 'working'] += at - now;
    now = at;
  };
  return {
    object,
    spent,
    get rests() {
      return rests;
    },
    pass: (ms: number): void => {
      const end = now + ms;
      while (due !== undefined && due.at <= end) {
        const { at, work } = due;
        due = undefined;
        moveTo(at);
        work();
      }
      moveTo(end);
    },
  };
};

t.test('between frames it works, beside one it rests', (t) => {
  const here = withClock();
  t.equal(here.rests, false);
  for (let frame = 0; frame < 500; frame += 1) {
    here.object.frames(true);
    t.equal(here.rests, true);
    here.pass(70);
    t.equal(here.rests, true, 'to its end');
    here.object.frames(false);
    t.equal(here.rests, false);
    here.pass(130);
  }
  here.object.frames(true);
  here.object.timing(true);
  t.equal(here.rests, false, 'not while it measures times');
  here.object.timing(false);
  t.equal(here.rests, true);
  here.object.end();
  t.equal(here.rests, false);
  t.end();
});

t.test('whatever the frames do, it has its share, and never rests without one', (t) => {
  fc.assert(
    fc.property(
      fc.array(
        fc.record({ busy: fc.integer({ min: 0, max: 3_000 }), free: fc.integer({ min: 0, max: 400 }) }),
        {
          minLength: 1,
          maxLength: 60,
        },
      ),
      (turns) => {
        const here = withClock();
        for (const { busy, free } of turns) {
          here.object.frames(true);
          here.pass(busy);
          here.object.frames(false);
          const { resting } = here.spent;
          here.pass(free);
          if (here.rests || here.spent.resting !== resting) return false;
          const { resting: slept, working } = here.spent;
          // Owed at most, and what a timer of whole milliseconds adds.
          if (working < LEAST_SHARE * (slept + working) - MOST_OWED_MS - turns.length) return false;
        }
        return true;
      },
    ),
  );
  const always = withClock();
  always.object.frames(true);
  always.pass(60_000);
  const { resting, working } = always.spent;
  t.ok(Math.abs(working / (resting + working) - LEAST_SHARE) < 0.01, `${working} of 60,000 ms`);
  t.end();
});

/** Of a process; nothing once it is gone. */
const stateOf = (pid: number): string => {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2, stat.lastIndexOf(')') + 3);
  } catch {
    return '';
  }
};
const until = async (isSo: () => boolean): Promise<void> => {
  while (!isSo()) await sleep(5);
};
const root = t.testdir();
const fixture = await makeFixture(join(root, 'fixture'));
const options = { memoryMb: 4_000, deadlineMs: 600_000, nice: 0 };

t.test('it rests with all that it started, wakes, and ends from a rest', async (t) => {
  let rests = false;
  const adapter = new Adapter({
    ...options,
    folder: smallJob(join(root, 'rests'), fixture),
    rests: () => rests,
  });
  const run = adapter.run();
  let isDone = false;
  run.catch(() => undefined).finally(() => (isDone = true));
  const own = (): number[] =>
    adapter.pid === undefined ? [] : [adapter.pid, ...processesBelow(adapter.pid)];
  await until(() => isDone || own().length > 1);
  const pids = own();
  adapter.frames(true);
  await sleep(50);
  t.ok(
    pids.every((pid) => !isAlive(pid) || stateOf(pid) !== 'T'),
    'not where the configuration says no',
  );
  rests = true;
  const resting = (): boolean => {
    if (isDone) throw new Error('the job was done too soon');
    return own().every((pid) => stateOf(pid) === 'T');
  };
  // Owed its share it works now and then.
  adapter.frames(true);
  await until(resting);
  adapter.frames(false);
  await until(() => own().every((pid) => stateOf(pid) !== 'T'));
  t.ok(own().length > 0, 'it works');
  adapter.frames(true);
  await until(resting);
  const last = own();
  await adapter.stop();
  await t.rejects(run, { code: 'TIMEOUT', message: /stopped/ });
  await until(() => !last.some(isAlive));
  adapter.frames(true);
});

t.test('a job tells when it goes by the clock, and when it does not any more', async (t) => {
  const told: string[] = [];
  const { outcome } = await runJob(smallJob(join(root, 'timed'), fixture), {
    onProgress: (step) => {
      if (step !== told.at(-1)) told.push(step);
    },
    onTiming: (isTiming) => {
      told.push(isTiming ? 'begins' : 'ends');
      return Promise.resolve();
    },
  });
  t.equal(outcome, 'accepted');
  const clock = told.filter((word) => word === 'begins' || word === 'ends');
  t.ok(clock.length >= 4, `${clock.length / 2} times`);
  t.ok(
    clock.every((word, index) => word === (index % 2 === 0 ? 'begins' : 'ends')),
    'in turns',
  );
  const isInside = (step: string): boolean =>
    told.lastIndexOf('begins', told.indexOf(step)) > told.lastIndexOf('ends', told.indexOf(step));
  t.ok(isInside('solving') && isInside('drawing the front'), told.join(', '));
  t.notOk(isInside('measuring') || isInside('validating'));
});

t.test('an owner that is killed takes a resting adapter with it', async (t) => {
  const code = `
    import { pathToFileURL } from 'node:url';
    const { Adapter } = await import(pathToFileURL(process.argv[1]).href);
    const adapter = new Adapter({ memoryMb: 4000, deadlineMs: 600000, nice: 0, folder: process.argv[2] });
    adapter.run().catch(() => undefined);
    setInterval(() => adapter.frames(true), 1);
    console.log(adapter.pid);`;
  const owner = spawn(
    process.execPath,
    [
      '--input-type=module',
      '-e',
      code,
      join(import.meta.dirname, '..', '..', 'src', 'adaptation/index.js'),
      smallJob(join(root, 'killed'), fixture),
    ],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  t.teardown(() => owner.kill('SIGKILL'));
  const [line] = (await once(owner.stdout, 'data')) as [Buffer];
  const pid = Number(line.toString());
  await until(() => stateOf(pid) === 'T');
  owner.kill('SIGKILL');
  await until(() => !isAlive(pid));
  t.pass('it is gone');
});
