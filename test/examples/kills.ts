// Kills a process that stores examples, again and again, and looks at what is left; for the test and the benchmark.
import { spawn } from 'node:child_process';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ExampleLibrary, examplesFolder } from '../../src/examples/index.js';
import { packageRoot, silentLog } from '../../src/system/index.js';
import { openStore } from '../../src/store/index.js';
import { killNow, readLines } from '../helpers/lines.js';
import { rules } from './parts.js';

const script = join(packageRoot, 'dist', 'test', 'examples', 'worker.js');

export interface KillOutcome {
  /** Examples that the process said were stored. */
  acknowledged: number;
  /** Of these, without row or whole picture afterwards. */
  lost: number;
  /** Kills after which the pictures on the disk took more bytes than they may. */
  capExceeded: number;
  /** Files without a row, and rows without a whole file, after the sweep of the next start. */
  orphans: number;
  /** Files without a row that a kill left, swept away by the next start. */
  swept: number;
}

const filesIn = (folder: string): Map<string, number> =>
  new Map(
    existsSync(folder)
      ? readdirSync(folder).map((name) => [name.replace(/\.jpg$/, ''), statSync(join(folder, name)).size])
      : [],
  );

/**
 * @param limits small ones make every round remove examples: then `lost` counts only what a row says and the disk has not
 * @param removes whether the limits make it remove examples
 */
export const killAgainAndAgain = async (
  stateDir: string,
  kills: number,
  limits: { readonly maxMb: number; readonly perPair: number },
  removes: boolean,
  random: () => number = Math.random,
  onKill: (done: number) => void = () => undefined,
): Promise<KillOutcome> => {
  const outcome: KillOutcome = { acknowledged: 0, lost: 0, capExceeded: 0, orphans: 0, swept: 0 };
  const known = new Set<string>();
  const folder = examplesFolder(stateDir);
  for (let kill = 1; kill <= kills; kill += 1) {
    const args = [script, stateDir, String(limits.maxMb), String(limits.perPair)];
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    const reader = readLines(child);
    await reader.find((line) => line === 'started');
    await sleep(random() * 60);
    await killNow(child, reader);
    for (const line of reader.lines) {
      const [word, ...ids] = line.split(' ');
      if (word === 'stored') for (const id of ids) known.add(id);
    }
    outcome.acknowledged = known.size;
    const before = filesIn(folder);
    const bytes = [...before.values()].reduce((sum, size) => sum + size, 0);
    if (bytes > limits.maxMb * 1e6) outcome.capExceeded += 1;
    const store = openStore(join(stateDir, 'bitlane.db'));
    const options = { stateDir, store, log: silentLog };
    const library = new ExampleLibrary({ ...options, rules: { ...rules, ...limits, perHour: 1_000_000 } });
    await library.sweep();
    const after = filesIn(folder);
    const rows = new Map(store.examples.stubs().map((stub) => [stub.id, stub.bytes]));
    outcome.swept += before.size - after.size;
    outcome.orphans += [...after.keys()].filter((id) => !rows.has(id)).length;
    outcome.orphans += [...rows].filter(([id, size]) => after.get(id) !== size).length;
    if (!removes) {
      outcome.lost += [...known].filter((id) => after.get(id) === undefined || !rows.has(id)).length;
    } else {
      // What was removed for newer ones is no loss; a row of which the picture is gone is.
      outcome.lost += [...rows.keys()].filter((id) => !before.has(id)).length;
    }
    if (store.damaged !== undefined) outcome.lost += known.size;
    store.close();
    onKill(kill);
  }
  return outcome;
};
