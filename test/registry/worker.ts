// A process that works on a registry until it is killed: `churn STATE`, `hold LOCK`, `fight LOCK FILE ROUNDS`.
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import { BitlaneError } from '../../src/errors.js';
import { FileLock, Registry } from '../../src/registry/index.js';
import { makeArtifact } from '../helpers/artifacts.js';
import { say } from '../helpers/say.js';

const [mode = '', path = '', extra = '', rounds = '0'] = process.argv.slice(2);

/** Installs, activates, rolls back and removes for ever; says what it is about to make active, and when that is done. */
const churn = async (): Promise<void> => {
  const registry = new Registry({ stateDir: path, purpose: 'test' });
  await registry.start();
  say('started');
  for (let step = 0; ; step += 1) {
    const made = makeArtifact(`${process.pid}-${step}`, 150_000);
    say(`next ${made.id}`);
    await registry.install(made.bytes, made.manifest);
    await registry.activate(made.id);
    say(`active ${made.id}`);
    if (step % 3 === 2) {
      say(`next ${registry.previous}`);
      say(`active ${(await registry.rollback()).id}`);
    }
    for (const { id, active, previous, factory } of await registry.list()) {
      if (!active && !previous && !factory) await registry.remove(id);
    }
  }
};

const hold = (): void => {
  const lock = new FileLock(path, 'holding');
  lock.acquire();
  say('held');
  process.on('SIGTERM', () => {
    lock.release();
    process.exit(0);
  });
  setInterval(() => undefined, 1_000);
};

/** Takes the lock again and again; what it guards is a file that must never be there when the lock has just been taken. */
const fight = async (): Promise<void> => {
  let won = 0;
  while (won < Number(rounds)) {
    const lock = new FileLock(path, 'fighting');
    try {
      lock.acquire();
    } catch (error) {
      if (!(error instanceof BitlaneError) || error.code !== 'BUSY') throw error;
      await setImmediate();
      continue;
    }
    writeFileSync(extra, String(process.pid), { flag: 'wx' });
    await setImmediate();
    if (readFileSync(extra, 'utf8') !== String(process.pid)) throw new Error('two hold the lock');
    rmSync(extra);
    lock.release();
    won += 1;
  }
  say(`won ${won}`);
};

if (mode === 'churn') await churn();
else if (mode === 'hold') hold();
else await fight();
