// The control socket: one line in, one line out; who gets in, and what becomes of the impatient.
import { getEventListeners } from 'node:events';
import { chmodSync, existsSync, statSync, writeFileSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { z } from 'zod';
import { runBounded, silentLog } from '../../src/system/index.js';
import {
  callDaemon,
  CommandRegistry,
  ControlServer,
  controlSocketPath,
  defineCommand,
} from '../../src/telemetry/index.js';
import { until } from '../helpers/mosquitto.js';
import { temporary } from './device.js';

t.setTimeout(60_000);

const serve = async (
  t: Test,
  runtimeDir = temporary(t),
  options: { readonly idleMs?: number } = {},
): Promise<{ runtimeDir: string; commands: CommandRegistry; server: ControlServer }> => {
  const commands = new CommandRegistry({ log: silentLog });
  commands.handle('log/level', ({ level }) => ({ level: level ?? 'info', previous: 'info' }));
  const server = new ControlServer({ runtimeDir, commands, log: silentLog, ...options });
  await server.start();
  t.teardown(() => server.stop());
  return { runtimeDir, commands, server };
};

/** What comes back for raw bytes, until the other side closes. */
const raw = (runtimeDir: string, work: (socket: Socket) => void): Promise<string> =>
  new Promise((resolve, reject) => {
    const socket = connect({ path: controlSocketPath(runtimeDir), allowHalfOpen: true });
    let text = '';
    socket.on('connect', () => work(socket));
    socket.on('data', (chunk: Buffer) => (text += chunk.toString('utf8')));
    socket.on('error', reject);
    socket.on('end', () => {
      socket.destroy();
      resolve(text);
    });
  });

t.test('a call, a refusal, nobody there', async (t) => {
  const { runtimeDir, server } = await serve(t);
  t.equal(statSync(controlSocketPath(runtimeDir)).mode & 0o777, 0o660);
  t.same(await callDaemon(runtimeDir, 'log/level', { level: 'warn' }), { level: 'warn', previous: 'info' });
  await t.rejects(callDaemon(runtimeDir, 'log/level', { level: 'loud' }), {
    code: 'BAD_COMMAND',
    message: /^level must be one of/,
  });
  await t.rejects(callDaemon(runtimeDir, 'no/such'), {
    code: 'BAD_COMMAND',
    message: /^there is no command/,
  });
  await server.stop();
  await server.stop();
  t.notOk(existsSync(controlSocketPath(runtimeDir)));
  await t.rejects(callDaemon(runtimeDir, 'log/level'), {
    code: 'UNREACHABLE',
    message: /^no daemon runs with/,
  });
});

t.test('the wire: exactly one JSON line each way', async (t) => {
  const { runtimeDir } = await serve(t, temporary(t), { idleMs: 200 });
  const say = (text: string): Promise<string> => raw(runtimeDir, (socket) => socket.write(text));
  const line = await say('{"command":"log/level","request":{"transaction":9}}\n');
  t.equal(line, '{"ok":true,"result":{"level":"info","previous":"info"},"transaction":9}\n');
  t.match(JSON.parse(await say('{"command":"log/level"}\n{"command":"log/level"}\n')), { ok: true });
  const halfClosed = await raw(runtimeDir, (socket) => socket.end('{"command":"log/level"}'));
  t.match(JSON.parse(halfClosed), { ok: true });
  for (const text of ['{\n', '[]\n', '{"command":7}\n', '{"command":"log/level","more":1}\n', '\n']) {
    t.match(JSON.parse(await say(text)), { ok: false, error: { code: 'BAD_COMMAND' } }, JSON.stringify(text));
  }
  t.match(JSON.parse(await say('x'.repeat(200_000))), {
    ok: false,
    error: { message: /longer than 131072 bytes/ },
  });
  t.match(
    JSON.parse(await say('{"comm')),
    { ok: false, error: { code: 'TIMEOUT' } },
    'a client that dawdles',
  );
});

t.test('a client that goes away, a daemon that does not answer, one that ends', async (t) => {
  const { runtimeDir, commands, server } = await serve(t);
  let started = 0;
  let ended = 0;
  let release: () => void = () => undefined;
  commands.register(
    defineCommand({
      name: 'test/slow',
      description: 'waits',
      request: z.strictObject({}),
      response: z.strictObject({}),
      timeoutMs: 30_000,
    }),
    async () => {
      started += 1;
      await new Promise<void>((resolve) => (release = resolve));
      ended += 1;
      return {};
    },
  );
  const controller = new AbortController();
  const given = callDaemon(runtimeDir, 'test/slow', {}, { signal: controller.signal });
  await until(() => started === 1, 'it runs');
  controller.abort(new Error('enough'));
  await t.rejects(given, { message: 'enough' });
  release();
  await until(() => ended === 1, 'the command ran to its end all the same');
  await t.rejects(callDaemon(runtimeDir, 'test/slow', {}, { timeoutMs: 50 }), { code: 'TIMEOUT' });
  await until(() => started === 2, 'it ran');
  release();
  const cut = callDaemon(runtimeDir, 'test/slow');
  await until(() => started === 3, 'it runs');
  await Promise.all([
    t.rejects(cut, { code: 'TIMEOUT', message: /ended before it answered/ }),
    server.stop(),
  ]);
  release();
});

t.test('a second daemon, a socket left behind, a file in the way', async (t) => {
  const { runtimeDir } = await serve(t);
  const second = new ControlServer({
    runtimeDir,
    commands: new CommandRegistry({ log: silentLog }),
    log: silentLog,
  });
  await t.rejects(second.start(), { code: 'BUSY', message: /^another daemon serves/ });
  t.match(await callDaemon(runtimeDir, 'log/level'), { level: 'info' }, 'the first is unharmed');

  const left = temporary(t);
  const dead = await runBounded(
    process.execPath,
    [
      '-e',
      'require("net").createServer().listen(process.argv[1], () => process.kill(process.pid, "SIGKILL"))',
      controlSocketPath(left),
    ],
    { deadlineMs: 30_000 },
  );
  t.equal(dead.signal, 'SIGKILL');
  t.ok(existsSync(controlSocketPath(left)), 'the file is left');
  await t.rejects(callDaemon(left, 'log/level'), { code: 'UNREACHABLE' });
  await serve(t, left);
  t.match(await callDaemon(left, 'log/level'), { level: 'info' }, 'taken over');

  const blocked = temporary(t);
  writeFileSync(controlSocketPath(blocked), 'mine');
  const third = new ControlServer({
    runtimeDir: blocked,
    commands: new CommandRegistry({ log: silentLog }),
    log: silentLog,
  });
  await t.rejects(third.start(), { code: 'BUSY', message: /no socket/ });
  const long = join(temporary(t), 'x'.repeat(120));
  await t.rejects(callDaemon(long, 'log/level'), { code: 'BAD_CONFIG' });
  const fourth = new ControlServer({
    runtimeDir: long,
    commands: new CommandRegistry({ log: silentLog }),
    log: silentLog,
  });
  await t.rejects(fourth.start(), { code: 'BAD_CONFIG', message: /^runtimeDir is too long/ });
});

t.test(
  'whoever may not open the socket is told so',
  { skip: process.getuid?.() === 0 ? 'root may open everything' : false },
  async (t) => {
    const { runtimeDir } = await serve(t);
    chmodSync(controlSocketPath(runtimeDir), 0);
    await t.rejects(callDaemon(runtimeDir, 'log/level'), { code: 'BAD_USAGE', message: /as root/ });
  },
);

t.test('an answer that is none', async (t) => {
  const folder = temporary(t);
  const server = createServer((socket) => socket.end('hello\n'));
  await new Promise<void>((resolve) => server.listen(controlSocketPath(folder), resolve));
  t.teardown(() => server.close());
  await t.rejects(callDaemon(folder, 'log/level'), { code: 'INTERNAL', message: /did not answer with JSON/ });
});

t.test('a command that is done leaves nothing behind', async (t) => {
  const commands = new CommandRegistry({ log: silentLog });
  const signals: AbortSignal[] = [];
  commands.handle('log/level', (_request, signal) => {
    signals.push(signal);
    return { level: 'info', previous: 'info' };
  });
  for (let i = 0; i < 3; i += 1) t.match(await commands.dispatch('log/level', '{}', 'local'), { ok: true });
  t.match(await commands.dispatch('log/level', '{"level":"loud"}', 'local'), { ok: false });
  t.same(
    signals.map((signal) => getEventListeners(signal, 'abort').length),
    [0, 0, 0],
  );
});
