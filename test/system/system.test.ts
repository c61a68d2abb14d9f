import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import t from 'tap';
import {
  Backoff,
  Emitter,
  hasExited,
  LOG_LEVELS,
  RootLog,
  spawnOwned,
  stopChild,
} from '../../src/system/index.js';
import { readLines } from '../helpers/lines.js';

const moduleUrl = new URL('../../src/system/child.js', import.meta.url).href;

/** A process that runs still: a zombie whose parent does not look after it is as good as gone. */
const runs = (pid: number): boolean => {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return !/^[ZX]/.test(stat.slice(stat.lastIndexOf(')') + 2));
  } catch {
    return false;
  }
};

t.test('waits double up to their bound, with jitter, and start again after a good stretch', async (t) => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 1_000 }),
      fc.integer({ min: 1, max: 100_000 }),
      fc.integer({ min: 0, max: 100_000 }),
      fc.array(fc.tuple(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), fc.nat(50_000)), {
        maxLength: 60,
      }),
      (initialMs, maxMs, resetAfterMs, failures) => {
        let now = 0;
        let random = 0;
        const backoff = new Backoff(
          { initialMs, maxMs, resetAfterMs },
          () => now,
          () => random,
        );
        let inRow = 0;
        for (const [value, workedFor] of failures) {
          random = value;
          const wait = backoff.next();
          const base = Math.min(maxMs, initialMs * 2 ** inRow);
          if (wait < 0.75 * base - 1e-9 || wait > base || wait > maxMs) return false;
          inRow = workedFor > resetAfterMs ? 0 : inRow + 1;
          now += wait + workedFor;
        }
        backoff.reset();
        return backoff.failures === 0 && backoff.next() <= initialMs;
      },
    ),
  );
  // Waits longer than the good stretch are no good stretch.
  let now = 0;
  const backoff = new Backoff(
    { initialMs: 100, maxMs: 60_000, resetAfterMs: 1_000 },
    () => now,
    () => 1,
  );
  let wait = 0;
  for (let count = 0; count < 20; count += 1) now += wait = backoff.next();
  t.equal(wait, 60_000);
});

t.test('an owned child dies with its owner, SIGKILL included', async (t) => {
  const code = `const { spawnOwned } = await import(process.argv[1]);
    const child = spawnOwned(process.execPath, ['-e', 'process.on("SIGTERM", () => {}); setInterval(() => {}, 1000); console.log(process.pid)'],
      { stdio: ['ignore', 'inherit', 'inherit'] });
    child.on('exit', () => process.exit(3));`;
  const owner = spawn(process.execPath, ['--input-type=module', '-e', code, moduleUrl], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.teardown(() => owner.kill('SIGKILL'));
  const reader = readLines(owner);
  const pid = Number(await reader.find((line) => /^\d+$/.test(line)));
  t.ok(runs(pid));
  owner.kill('SIGKILL');
  for (let waits = 0; runs(pid) && waits < 1_200; waits += 1) await sleep(50);
  t.notOk(runs(pid));
});

t.test('a stop asks, then forces; it is bounded and safe to repeat', async (t) => {
  const start = async (code: string) => {
    const child = spawnOwned(
      process.execPath,
      ['-e', `${code}; setInterval(() => {}, 1000); console.log('up')`],
      {
        stdio: ['ignore', 'pipe', 'inherit'],
      },
    );
    await readLines(child).find((line) => line === 'up');
    return child;
  };
  const polite = await start('process.on("SIGTERM", () => process.exit(5))');
  await stopChild(polite, 60_000);
  t.equal(polite.exitCode, 5);
  const stubborn = await start('process.on("SIGTERM", () => {})');
  t.equal(hasExited(stubborn), false);
  await Promise.all([stopChild(stubborn, 50), stopChild(stubborn, 50)]);
  t.equal(stubborn.signalCode, 'SIGKILL');
  t.equal(hasExited(stubborn), true);
  await stopChild(stubborn, 50);
  const frozen = await start('');
  process.kill(frozen.pid ?? 0, 'SIGSTOP');
  await stopChild(frozen, 50);
  t.equal(frozen.signalCode, 'SIGKILL', 'also one that does not run');
  const missing = spawnOwned('/nonexistent/command', [], { cwd: '/nonexistent', stdio: 'ignore' });
  await once(missing, 'error');
  await stopChild(missing, 50);
});

t.test('no shell stands between: arguments arrive as they are', async (t) => {
  const args = ['a b', '$HOME', '; exit 3', '--', '"', '*'];
  const child = spawnOwned(
    process.execPath,
    ['-e', 'console.log(JSON.stringify(process.argv.slice(1)))', '--', ...args],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  const line = await readLines(child).find(() => true);
  t.same(JSON.parse(line), args);
});

t.test('events reach their listeners in order, and no longer once they are off', async (t) => {
  const emitter = new Emitter<{ a: number; b: string }>();
  const seen: unknown[] = [];
  const listener = (value: number): void => void seen.push(value);
  emitter.on('a', listener).once('a', (value) => seen.push(`once ${value}`));
  emitter.on('b', (value) => seen.push(value));
  emitter.emit('a', 1);
  emitter.emit('a', 2);
  emitter.off('a', listener).emit('a', 3);
  emitter.emit('b', 'x');
  emitter.removeAll();
  emitter.emit('b', 'y');
  t.same(seen, [1, 'once 1', 2, 'x']);
});

t.test('a message cannot forge a line, whatever it holds', async (t) => {
  const lines: string[] = [];
  const log = new RootLog({ write: (line) => lines.push(line), journal: true }).part('mqtt');
  log.warn('bad\n<3>daemon: all is lost\r\u001b[2K\u2028x\0y', {
    topic: 'a b="c"\n',
    n: 1,
    gone: undefined,
    no: null,
  });
  t.same(lines, ['<4>mqtt: bad <3>daemon: all is lost [2K x y topic="a b=\\"c\\"\\n" n=1 no=null\n']);
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' }), (message, value) => {
      lines.length = 0;
      log.error(message, { value });
      return lines.length === 1 && /^<3>mqtt: [^\p{Cc}\u2028\u2029]*\n$/u.test(lines[0] ?? '');
    }),
    { numRuns: 1_000 },
  );
});

t.test('a level hides what is below it, everywhere at once', async (t) => {
  const lines: string[] = [];
  const root = new RootLog({ write: (line) => lines.push(line), journal: false });
  const log = root.part('camera').child('ffmpeg');
  const said = (): string[] => {
    lines.length = 0;
    for (const level of LOG_LEVELS) log[level](level);
    return lines.map((line) => / camera\/ffmpeg: (\w+)\n$/.exec(line)?.[1] ?? line);
  };
  t.same(said(), ['error', 'warn', 'info']);
  for (const [index, level] of LOG_LEVELS.entries()) {
    root.level = level;
    t.same(said(), LOG_LEVELS.slice(0, index + 1));
  }
  t.match(lines[0], /^\d{4}-\d\d-\d\dT[\d:.]+Z ERROR /);
});

t.test('the journal is taken for one only where stderr leads there', async (t) => {
  const code = `const { RootLog } = await import(process.argv[1]); new RootLog().part('a').error('b');`;
  const url = new URL('../../src/system/log.js', import.meta.url).href;
  const child = spawn(process.execPath, ['--input-type=module', '-e', code, url], {
    env: { ...process.env, JOURNAL_STREAM: '8:12345' },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let text = '';
  child.stderr.on('data', (chunk: Buffer) => (text += chunk.toString()));
  await once(child, 'close');
  t.match(text, /^\d{4}-.* ERROR a: b\n$/);
});
