import { spawn, spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import fc from 'fast-check';
import t, { type Test as Tap } from 'tap';
import { notify, packageRoot, watchdogIntervalMs } from '../../src/system/index.js';

interface Receiver {
  on(name: 'message', listener: (data: Buffer) => void): void;
  bind(path: string): void;
  close(): void;
}
const require = createRequire(pathToFileURL(join(packageRoot, 'package.json')));
const { createSocket } = require('unix-dgram') as { readonly createSocket: (type: 'unix_dgram') => Receiver };

// The address of a socket holds 107 bytes: a test folder named after its test is too long.
const socketPath = (t: Tap): string => {
  const folder = mkdtempSync(join(tmpdir(), 'bitlane-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  return join(folder, 'notify');
};

const has = (command: string): boolean => spawnSync(command, ['--version']).error === undefined;

t.test('a message reaches the socket as it is', async (t) => {
  const path = socketPath(t);
  const receiver = createSocket('unix_dgram');
  t.teardown(() => receiver.close());
  const seen: string[] = [];
  const three = new Promise<void>((resolve) => {
    receiver.on('message', (data) => {
      seen.push(data.toString());
      if (seen.length === 3) resolve();
    });
  });
  receiver.bind(path);
  const environment = { NOTIFY_SOCKET: path };
  t.equal(notify('READY=1', environment), true);
  t.equal(notify('STATUS=two cameras, größer\nWATCHDOG=1', environment), true);
  t.equal(notify('STOPPING=1', environment), true);
  await three;
  t.same(seen, ['READY=1', 'STATUS=two cameras, größer\nWATCHDOG=1', 'STOPPING=1']);
});

t.test('absent, dead and senseless sockets are silent', async (t) => {
  t.equal(notify('READY=1', {}), false);
  t.equal(notify('READY=1', { NOTIFY_SOCKET: '' }), false);
  t.equal(notify('READY=1', { NOTIFY_SOCKET: 'relative/path' }), false);
  t.equal(notify('READY=1', { NOTIFY_SOCKET: socketPath(t) }), false);
  t.equal(notify('READY=1', { NOTIFY_SOCKET: `/${'x'.repeat(500)}` }), false);
  t.equal(notify('READY=1', { NOTIFY_SOCKET: '@bitlane-nobody', PATH: '/nonexistent' }), false);
});

t.test('a receiver that does not read never makes the sender wait or throw', async (t) => {
  const path = socketPath(t);
  const receiver = createSocket('unix_dgram');
  t.teardown(() => receiver.close());
  receiver.bind(path);
  // Nothing is read before this turn of the event loop ends, so the queue fills.
  const results = Array.from({ length: 2_000 }, () => notify('WATCHDOG=1', { NOTIFY_SOCKET: path }));
  t.equal(results[0], true);
  t.equal(results.at(-1), false);
});

t.test('sending leaves no handle behind and no descriptor', async (t) => {
  const path = socketPath(t);
  const url = pathToFileURL(join(import.meta.dirname, '..', '..', 'src', 'system', 'index.js')).href;
  const receiver = createSocket('unix_dgram');
  t.teardown(() => receiver.close());
  receiver.bind(path);
  const code = `import { readdirSync } from 'node:fs'; const { notify } = await import(process.argv[1]);
    notify('A=1'); await new Promise(setImmediate); const before = readdirSync('/proc/self/fd').length;
    for (let i = 0; i < 200; i += 1) { notify('A=1'); await new Promise(setImmediate); }
    console.log(readdirSync('/proc/self/fd').length - before);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', code, url], {
    env: { ...process.env, NOTIFY_SOCKET: path },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const [status] = (await once(child, 'close')) as [number | null];
  t.equal(status, 0, 'the process ended by itself');
  t.equal(output.trim(), '0');
});

t.test(
  'an abstract socket is reached',
  { skip: has('systemd-notify') && has('python3') ? false : 'systemd-notify or python3 is missing' },
  async (t) => {
    const name = `bitlane-test-${process.pid}-${Date.now()}`;
    const receiver = spawn(
      'python3',
      [
        '-c',
        `import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.bind("\\0" + sys.argv[1]); s.settimeout(30)
print("bound", flush=True); print(s.recv(4096).decode().strip(), flush=True)`,
        name,
      ],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
    let output = '';
    const bound = new Promise<void>((resolve) => {
      receiver.stdout.on('data', (chunk: Buffer) => {
        output += chunk.toString();
        if (output.startsWith('bound\n')) resolve();
      });
    });
    const closed = once(receiver, 'close');
    await bound;
    t.equal(notify('STATUS=hello there', { ...process.env, NOTIFY_SOCKET: `@${name}` }), true);
    await closed;
    t.equal(output, 'bound\nSTATUS=hello there\n');
  },
);

t.test('the watchdog interval is half of what systemd allows', async (t) => {
  t.equal(watchdogIntervalMs({ WATCHDOG_USEC: '120000000' }), 60_000);
  t.equal(watchdogIntervalMs({ WATCHDOG_USEC: '120000000', WATCHDOG_PID: String(process.pid) }), 60_000);
  t.equal(
    watchdogIntervalMs({ WATCHDOG_USEC: '120000000', WATCHDOG_PID: String(process.pid + 1) }),
    undefined,
  );
  t.equal(watchdogIntervalMs({}), undefined);
  t.equal(watchdogIntervalMs({ WATCHDOG_USEC: '0' }), undefined);
  fc.assert(
    fc.property(fc.string(), (text) => {
      const interval = watchdogIntervalMs({ WATCHDOG_USEC: text });
      return interval === undefined || (Number.isInteger(interval) && interval > 0);
    }),
  );
});
