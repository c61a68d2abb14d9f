import { spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test as Tap } from 'tap';
import { FileLock, lockOwner } from '../../src/registry/index.js';
import { killNow, readLines } from '../helpers/lines.js';

const script = join(import.meta.dirname, 'worker.js');

const start = (t: Tap, ...args: string[]) => {
  const child = spawn(process.execPath, [script, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  t.teardown(() => child.kill('SIGKILL'));
  return { child, reader: readLines(child) };
};

t.test('a living holder keeps others out, and says who it is', async (t) => {
  const path = join(t.testdir({}), 'lock');
  const { child, reader } = start(t, 'hold', path);
  await reader.find((line) => line === 'held');
  const lock = new FileLock(path, 'test');
  t.throws(() => lock.acquire(), { code: 'BUSY', message: `in use by process ${child.pid} (holding)` });
  t.equal(lock.held, false);
  t.match(lockOwner(path), { pid: child.pid, purpose: 'holding' });
  lock.release();
  t.ok(existsSync(path), 'a lock that is not ours stays');
  child.kill('SIGTERM');
  await reader.closed;
  t.equal(lockOwner(path), undefined);
  lock.acquire();
  lock.acquire();
  t.throws(() => new FileLock(path, 'second').acquire(), { code: 'BUSY' }, 'not twice in one process either');
  lock.release();
  lock.release();
  t.same(readdirSync(join(path, '..')), []);
});

t.test('the lock of a holder that was killed is taken over', async (t) => {
  const path = join(t.testdir({}), 'lock');
  const { child, reader } = start(t, 'hold', path);
  await reader.find((line) => line === 'held');
  await killNow(child, reader);
  t.ok(existsSync(path), 'it could not clean up');
  t.equal(lockOwner(path), undefined);
  const lock = new FileLock(path, 'test');
  lock.acquire();
  t.equal(lockOwner(path)?.pid, process.pid);
  t.same(readdirSync(join(path, '..')), ['lock']);
  lock.release();
});

t.test('a lock of another boot, of an earlier process with this pid, or torn, is dead', async (t) => {
  const path = join(t.testdir({}), 'lock');
  new FileLock(path, 'test').acquire();
  const own = JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>;
  t.equal(lockOwner(path)?.pid, process.pid);
  for (const text of [
    JSON.stringify({ ...own, bootId: 'another' }),
    JSON.stringify({ ...own, startTime: '1' }),
    JSON.stringify({ ...own, pid: 2 ** 22 + 5 }),
    '',
    '{"pid":',
    '[]',
  ]) {
    writeFileSync(path, text);
    t.equal(lockOwner(path), undefined, text);
    const lock = new FileLock(path, 'test');
    lock.acquire();
    t.equal(lockOwner(path)?.pid, process.pid);
    lock.release();
    t.same(readdirSync(join(path, '..')), []);
  }
});

t.test(
  'a holder whose /proc entry is hidden still holds',
  {
    skip:
      process.geteuid?.() === 0
        ? 'needs to be a user other than root'
        : !isHiding() && 'no /proc entry is hidden here',
  },
  async (t) => {
    const path = join(t.testdir({}), 'lock');
    new FileLock(path, 'test').acquire();
    const own = JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>;
    writeFileSync(path, JSON.stringify({ ...own, pid: 1, startTime: '0' }));
    t.equal(lockOwner(path)?.pid, 1);
  },
);

/** Whether pid 1, which is always there, is not shown. */
function isHiding(): boolean {
  return !existsSync('/proc/1');
}

t.test('processes that fight over a lock never hold it together', async (t) => {
  const folder = t.testdir({});
  const [path, guarded] = [join(folder, 'lock'), join(folder, 'guarded')];
  const fighters = [1, 2, 3].map(() => start(t, 'fight', path, guarded, '60'));
  for (const { child, reader } of fighters) {
    await reader.closed;
    t.equal(child.exitCode, 0);
    t.same(reader.lines, ['won 60']);
  }
  t.same(readdirSync(folder), []);
});

t.test('processes that find the same dead lock: one takes it over', async (t) => {
  const folder = t.testdir({});
  const path = join(folder, 'lock');
  new FileLock(path, 'test').acquire();
  const dead = JSON.stringify({
    ...(JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>),
    startTime: '1',
  });
  for (let round = 0; round < 3; round += 1) {
    writeFileSync(path, dead);
    const before = statSync(path).ino;
    const racers = [1, 2, 3].map(() => start(t, 'fight', path, join(folder, `guarded-${round}`), '5'));
    for (const { child, reader } of racers) {
      await reader.closed;
      t.equal(child.exitCode, 0);
    }
    t.equal(existsSync(path), false, `lock ${before} is gone`);
  }
});
