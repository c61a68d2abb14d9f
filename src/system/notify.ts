// What systemd is told: readiness, watchdog pings, status (sd_notify(3)).
import { spawn } from 'node:child_process';
import { createRequire } from 'node:module';

interface DatagramSocket {
  readonly send: (
    data: Buffer,
    offset: number,
    length: number,
    path: string,
    done: (error?: Error) => void,
  ) => void;
  readonly close: () => void;
}
interface Datagrams {
  readonly createSocket: (type: 'unix_dgram') => DatagramSocket;
}

const NOTIFY_DEADLINE_MS = 5_000;
const require = createRequire(import.meta.url);

// The native module is loaded on first use, so that a device where it does not load still detects vehicles.
const sendDatagram = (path: string, state: string): boolean => {
  const socket = (require('unix-dgram') as Datagrams).createSocket('unix_dgram');
  let delivered = false;
  try {
    const data = Buffer.from(state);
    // The socket is non-blocking and calls back before `send` returns; a full queue is an error, not a wait.
    socket.send(data, 0, data.length, path, (error) => {
      delivered = error === undefined;
    });
  } finally {
    socket.close();
  }
  return delivered;
};

// unix-dgram ends an address at its first NUL, so it cannot name an abstract socket; systemd's own tool can. Nobody waits for it.
const sendThroughTool = (state: string, environment: NodeJS.ProcessEnv): boolean => {
  const child = spawn('systemd-notify', ['--', ...state.split('\n')], {
    env: environment,
    stdio: 'ignore',
  });
  const deadline = setTimeout(() => child.kill('SIGKILL'), NOTIFY_DEADLINE_MS).unref();
  child.once('error', () => clearTimeout(deadline));
  child.once('exit', () => clearTimeout(deadline));
  child.unref();
  return child.pid !== undefined;
};

/**
 * Tells the service manager `state`: one or more `KEY=value` lines joined by line feeds (`READY=1`, `WATCHDOG=1`,
 * `STOPPING=1`, `STATUS=...`). Does nothing where there is no `$NOTIFY_SOCKET`; never throws, never waits.
 *
 * For an abstract socket (`@name`, used by some containers) `systemd-notify` is started and not waited for; the unit then needs
 * `NotifyAccess=all`.
 *
 * @returns true when the message was handed over. A caller that must be heard (`READY=1`) tries again on false.
 */
export const notify = (state: string, environment: NodeJS.ProcessEnv = process.env): boolean => {
  const path = environment['NOTIFY_SOCKET'];
  if (path === undefined || path === '') return false;
  try {
    if (path.startsWith('/')) return sendDatagram(path, state);
    return path.startsWith('@') ? sendThroughTool(state, environment) : false;
  } catch {
    return false;
  }
};

/**
 * How often to send `WATCHDOG=1`, in milliseconds: half of the time after which systemd acts (sd_watchdog_enabled(3)).
 * `undefined` when no watchdog is set, or when it is set for another process.
 */
export const watchdogIntervalMs = (environment: NodeJS.ProcessEnv = process.env): number | undefined => {
  const text = environment['WATCHDOG_USEC'] ?? '';
  const pid = environment['WATCHDOG_PID'];
  if (!/^[0-9]{1,15}$/.test(text)) return undefined;
  if (pid !== undefined && pid !== String(process.pid)) return undefined;
  const interval = Math.floor(Number(text) / 2_000);
  return interval > 0 ? interval : undefined;
};
