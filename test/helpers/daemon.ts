// A whole daemon as a process of its own, on tiny models and pictures made here.
import type { ChildProcess } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Test } from 'tap';
import { stringify } from 'yaml';
import { Registry } from '../../src/registry/index.js';
import { hasExited, packageRoot, spawnOwned } from '../../src/system/index.js';
import { callDaemon } from '../../src/telemetry/index.js';
import { encodeJpeg } from '../../src/vision/index.js';
import { until } from './mosquitto.js';
import { tinyDetector, type TinyDetector, type TinyOptions } from './tinyModel.js';

export const CLASSES = ['car', 'truck'] as const;
const SIDE = 64;

/** A detector whose one box tells it from others: its left edge is `at`. */
export const tinyAt = (at: number, more: Partial<TinyOptions> = {}): TinyDetector =>
  tinyDetector({
    head: 'yolox',
    classes: CLASSES,
    name: `tiny-${at}`,
    boxes: [{ x1: at, y1: 10, x2: at + 12, y2: 30, classId: 0, score: 0.9 }],
    marker: at,
    ...more,
  });

/** A folder for state and sockets: a socket's address holds 107 bytes, which a folder named after its test may not leave. */
export const stateFolder = (t: Test): string => {
  const folder = mkdtempSync(join(tmpdir(), 'bitlane-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
};

/** A folder of `count` small JPEG pictures. */
export const pictureFolder = (folder: string, count = 5): string => {
  mkdirSync(folder, { recursive: true });
  for (let i = 0; i < count; i += 1) {
    const data = new Uint8Array(3 * SIDE * SIDE).fill(60 + 10 * i);
    writeFileSync(
      join(folder, `${i}.jpg`),
      encodeJpeg({ format: 'rgb24', width: SIDE, height: SIDE, data }, 80),
    );
  }
  return folder;
};

export const installAll = async (stateDir: string, models: readonly TinyDetector[]): Promise<void> => {
  const registry = new Registry({ stateDir });
  await registry.start();
  try {
    for (const model of models) await registry.install(model.bytes, model.manifest);
  } finally {
    registry.stop();
  }
};

/** Processes below `pid`, itself left out. */
export const processesBelow = (pid: number): number[] => {
  const parents = new Map<number, number>();
  for (const entry of readdirSync('/proc')) {
    if (!/^[0-9]+$/.test(entry)) continue;
    try {
      const stat = readFileSync(`/proc/${entry}/stat`, 'utf8');
      parents.set(Number(entry), Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]));
    } catch {
      // It ended while the list was read.
    }
  }
  const isBelow = (at: number, steps = 0): boolean => {
    const parent = parents.get(at);
    return parent !== undefined && steps < 64 && (parent === pid || isBelow(parent, steps + 1));
  };
  return [...parents.keys()].filter((at) => isBelow(at));
};

export const isAlive = (pid: number): boolean => {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return !/^[ZX]/.test(stat.slice(stat.lastIndexOf(')') + 2));
  } catch {
    return false;
  }
};

export interface DaemonOptions {
  readonly json?: boolean;
  readonly env?: Readonly<Record<string, string>>;
}

/** For `env`: its `Date.now` goes ahead by so much when it gets a SIGUSR2; a negative number sets it back. */
export const leapingClock = (leapMs: number): Readonly<Record<string, string>> => {
  const script = `const now = Date.now; process.on('SIGUSR2', () => { Date.now = () => now() + ${leapMs}; });`;
  return { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(script)}` };
};

export class DaemonProcess {
  readonly child: ChildProcess;
  readonly stateDir: string;
  readonly configPath: string;
  log = '';
  out = '';

  /** @param config keys of the configuration beside `stateDir` and `runtimeDir` */
  constructor(stateDir: string, config: object, options: DaemonOptions = {}) {
    this.stateDir = stateDir;
    this.configPath = join(stateDir, 'bitlane.yaml');
    this.configure(config);
    const script = join(packageRoot, 'dist', 'src', 'cli', 'main.js');
    const args = [script, 'run', '--config', this.configPath, ...(options.json === true ? ['--json'] : [])];
    this.child = spawnOwned(process.execPath, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...options.env },
    });
    this.child.stdout?.on('data', (chunk: Buffer) => (this.out += chunk.toString()));
    this.child.stderr?.on('data', (chunk: Buffer) => (this.log += chunk.toString()));
  }

  /** Writes its configuration file. */
  configure(config: object): void {
    writeFileSync(
      this.configPath,
      stringify({ stateDir: this.stateDir, runtimeDir: this.stateDir, ...config }),
    );
  }

  call(name: string, request: Readonly<Record<string, unknown>> = {}): Promise<unknown> {
    return callDaemon(this.stateDir, name, request, { timeoutMs: 60_000 });
  }

  /** Waits until its log says so. */
  says(pattern: RegExp): Promise<void> {
    return until(() => pattern.test(this.log), `the daemon says ${pattern}; it said: ${this.log}`, 60_000);
  }

  /** Ends it, and waits for its end. @returns its exit code, or the signal that ended it */
  async end(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | string | null> {
    if (!hasExited(this.child)) {
      const gone = new Promise<void>((resolve) => this.child.once('exit', () => resolve()));
      this.child.kill(signal);
      const timer = setTimeout(() => this.child.kill('SIGKILL'), 30_000);
      await gone;
      clearTimeout(timer);
    }
    return this.child.exitCode ?? this.child.signalCode;
  }
}
