// A real mosquitto on a free loopback port: with or without TLS and passwords, restarted, frozen, always brought down.
import type { ChildProcess } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { hasExited, runBounded, spawnOwned } from '../../src/system/index.js';

const first = (...paths: string[]): string | undefined => paths.find((path) => existsSync(path));
const MOSQUITTO = first('/usr/sbin/mosquitto', '/usr/local/sbin/mosquitto', '/opt/homebrew/sbin/mosquitto');
const MOSQUITTO_PASSWD = first('/usr/bin/mosquitto_passwd', '/usr/local/bin/mosquitto_passwd');
const OPENSSL = first('/usr/bin/openssl', '/usr/local/bin/openssl', '/bin/openssl');

/** For tap's `skip` option: `false` where the real broker is there, else the reason. */
export const skipWithoutMosquitto: string | false =
  MOSQUITTO === undefined ? 'mosquitto is absent (apt-get install mosquitto)' : false;

/** The same for tests with certificates or passwords. */
export const skipWithoutOpenssl: string | false =
  MOSQUITTO === undefined || OPENSSL === undefined || MOSQUITTO_PASSWD === undefined
    ? 'mosquitto, mosquitto_passwd or openssl is absent (apt-get install mosquitto openssl)'
    : false;

const DEADLINE_MS = 30_000;
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Waits until `check` is true; @throws after half a minute with `what` in the message */
export const until = async (check: () => boolean, what: string, deadlineMs = DEADLINE_MS): Promise<void> => {
  const end = performance.now() + deadlineMs;
  while (!check()) {
    if (performance.now() > end) throw new Error(`waited in vain: ${what}`);
    await pause(10);
  }
};

/** A loopback port that nobody listens on just now. */
export const freePort = (): Promise<number> =>
  new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });

export const isListening = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });

/** Keys and certificates made for one test. */
export interface Certificates {
  readonly ca: string;
  readonly otherCa: string;
  readonly serverCert: string;
  readonly serverKey: string;
  readonly clientCert: string;
  readonly clientKey: string;
}

const openssl = async (...args: string[]): Promise<void> => {
  const result = await runBounded(OPENSSL ?? 'openssl', args, { deadlineMs: DEADLINE_MS });
  if (result.code !== 0) throw new Error(`openssl ${args.join(' ')}: ${result.stderr}`);
};

/** An authority, a server certificate for 127.0.0.1, a client certificate, and another authority that signed neither. */
export const makeCertificates = async (folder: string): Promise<Certificates> => {
  mkdirSync(folder, { recursive: true });
  const at = (name: string): string => join(folder, name);
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  for (const name of ['ca', 'other-ca']) {
    await openssl(
      ...['req', '-x509', ...key, '-days', '2', '-subj', `/CN=${name}`],
      ...['-keyout', at(`${name}.key`), '-out', at(`${name}.crt`)],
    );
  }
  writeFileSync(at('server.ext'), 'subjectAltName=IP:127.0.0.1\n');
  writeFileSync(at('client.ext'), 'extendedKeyUsage=clientAuth\n');
  for (const name of ['server', 'client']) {
    await openssl(
      ...[
        'req',
        ...key,
        '-subj',
        `/CN=test-${name}`,
        '-keyout',
        at(`${name}.key`),
        '-out',
        at(`${name}.csr`),
      ],
    );
    await openssl(
      ...['x509', '-req', '-in', at(`${name}.csr`), '-CA', at('ca.crt'), '-CAkey', at('ca.key')],
      ...['-CAcreateserial', '-days', '2', '-extfile', at(`${name}.ext`), '-out', at(`${name}.crt`)],
    );
  }
  return {
    ca: at('ca.crt'),
    otherCa: at('other-ca.crt'),
    serverCert: at('server.crt'),
    serverKey: at('server.key'),
    clientCert: at('client.crt'),
    clientKey: at('client.key'),
  };
};

export interface BrokerOptions {
  /** Who may connect; anybody when left out. */
  readonly users?: Readonly<Record<string, string>>;
  readonly certificates?: Certificates;
  readonly requireClientCertificate?: boolean;
  /** Keeps sessions and retained messages over {@link Broker.restart}. */
  readonly persistent?: boolean;
  /** Further lines of its configuration. */
  readonly extra?: readonly string[];
}

export interface Broker {
  readonly port: number;
  readonly url: string;
  /** Ends it, with a clean shutdown. */
  down(): Promise<void>;
  /** Ends it at once. */
  kill(): Promise<void>;
  /** Starts it again on the same port. */
  up(): Promise<void>;
  /** It accepts connections (the kernel does) and says nothing more. */
  freeze(): void;
  thaw(): void;
  /** Ends it and removes its folder; safe to call twice. */
  remove(): Promise<void>;
  /** What it wrote to its log. */
  readonly log: () => string;
}

const configure = async (folder: string, port: number, options: BrokerOptions): Promise<string> => {
  const { certificates, users } = options;
  const lines = [
    // As root mosquitto would become another user, who cannot read this folder.
    ...(process.getuid?.() === 0 ? ['user root'] : []),
    `listener ${port} 127.0.0.1`,
    `allow_anonymous ${users === undefined}`,
    'max_queued_messages 0',
    'log_type error',
    'log_type warning',
    'log_type notice',
    ...(options.persistent === true ? ['persistence true', `persistence_location ${folder}/`] : []),
    ...(certificates === undefined
      ? []
      : [
          `cafile ${certificates.ca}`,
          `certfile ${certificates.serverCert}`,
          `keyfile ${certificates.serverKey}`,
          `require_certificate ${options.requireClientCertificate === true}`,
        ]),
    ...(options.extra ?? []),
  ];
  if (users !== undefined) {
    const path = join(folder, 'passwords');
    writeFileSync(path, '', { mode: 0o600 });
    for (const [user, password] of Object.entries(users)) {
      const made = await runBounded(MOSQUITTO_PASSWD ?? '', ['-b', path, user, password], {
        deadlineMs: DEADLINE_MS,
      });
      if (made.code !== 0) throw new Error(`mosquitto_passwd: ${made.stderr}`);
    }
    lines.push(`password_file ${path}`);
  }
  const path = join(folder, 'mosquitto.conf');
  writeFileSync(path, `${lines.join('\n')}\n`);
  return path;
};

const ended = (child: ChildProcess): Promise<void> =>
  hasExited(child) ? Promise.resolve() : new Promise((resolve) => child.once('exit', () => resolve()));

/** Starts a broker; call `remove` in the test's teardown. */
export const startBroker = async (options: BrokerOptions = {}): Promise<Broker> => {
  const folder = mkdtempSync(join(tmpdir(), 'bitlane-broker-'));
  let port = await freePort();
  let child: ChildProcess | undefined;
  let log = '';
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    if (child === undefined) return;
    child.kill('SIGCONT');
    child.kill(signal);
    const timer = setTimeout(() => child?.kill('SIGKILL'), 10_000);
    await ended(child);
    clearTimeout(timer);
    child = undefined;
  };
  const launch = async (): Promise<boolean> => {
    const config = await configure(folder, port, options);
    const started = spawnOwned(MOSQUITTO ?? 'mosquitto', ['-c', config], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    child = started;
    started.stderr?.on('data', (chunk: Buffer) => {
      log += chunk.toString('utf8');
    });
    for (const deadline = performance.now() + DEADLINE_MS; performance.now() < deadline; await pause(20)) {
      if (hasExited(started)) return false;
      if (await isListening(port)) return true;
    }
    return false;
  };
  const up = async (): Promise<void> => {
    if (!(await launch())) throw new Error(`mosquitto did not start on port ${port}: ${log}`);
  };
  // Somebody else may have taken the port meanwhile.
  for (let attempt = 1; !(await launch()); attempt += 1) {
    await end('SIGKILL');
    if (attempt === 3) throw new Error(`mosquitto did not start: ${log}`);
    port = await freePort();
  }
  return {
    port,
    url: `${options.certificates === undefined ? 'mqtt' : 'mqtts'}://127.0.0.1:${port}`,
    down: () => end('SIGTERM'),
    kill: () => end('SIGKILL'),
    up,
    freeze: () => void child?.kill('SIGSTOP'),
    thaw: () => void child?.kill('SIGCONT'),
    remove: async () => {
      await end('SIGKILL');
      rmSync(folder, { recursive: true, force: true });
    },
    log: () => log,
  };
};
