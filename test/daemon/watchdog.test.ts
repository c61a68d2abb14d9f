import { mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import t from 'tap';
import { Watchdog } from '../../src/daemon/watchdog.js';
import { packageRoot } from '../../src/system/index.js';

interface Receiver {
  on(name: 'message', listener: (data: Buffer) => void): void;
  bind(path: string): void;
  close(): void;
}
const require = createRequire(pathToFileURL(join(packageRoot, 'package.json')));
const { createSocket } = require('unix-dgram') as { readonly createSocket: (type: 'unix_dgram') => Receiver };

t.test('a ping needs a frame and an inference since the last one', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'bitlane-'));
  const receiver = createSocket('unix_dgram');
  const seen: string[] = [];
  receiver.on('message', (data) => seen.push(data.toString()));
  receiver.bind(join(folder, 'notify'));
  const before = process.env['NOTIFY_SOCKET'];
  process.env['NOTIFY_SOCKET'] = join(folder, 'notify');
  const watchdog = new Watchdog(10);
  t.teardown(() => {
    if (before === undefined) delete process.env['NOTIFY_SOCKET'];
    else process.env['NOTIFY_SOCKET'] = before;
    receiver.close();
    rmSync(folder, { recursive: true });
  });
  const until = async (condition: () => boolean): Promise<void> => {
    while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5));
  };
  const pings = (): number => seen.filter((text) => text === 'WATCHDOG=1').length;
  /** Long enough for several pings. */
  const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 120));

  watchdog.tellReady('watching');
  await until(() => seen.length === 1);
  t.equal(seen[0], 'READY=1\nSTATUS=watching');
  t.equal(watchdog.ready, true);
  watchdog.start();
  watchdog.frame();
  await pause();
  t.equal(pings(), 0, 'frames alone are not enough');
  watchdog.inference();
  await until(() => pings() === 1);
  await pause();
  t.equal(pings(), 1, 'one ping for what was done, not more');
  watchdog.inference();
  await pause();
  t.equal(pings(), 1, 'inferences alone are not enough');
  watchdog.frame();
  await until(() => pings() === 2);
  watchdog.stop();
  await until(() => seen.includes('STOPPING=1'));
  watchdog.frame();
  watchdog.inference();
  await pause();
  t.equal(pings(), 2, 'none after the stop');
});

t.test('without a service manager it is ready at once and says nothing', async (t) => {
  const watchdog = new Watchdog(undefined);
  watchdog.start();
  watchdog.tellReady('watching');
  t.equal(watchdog.ready, process.env['NOTIFY_SOCKET'] === undefined);
  watchdog.stop();
});
