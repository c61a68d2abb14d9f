// What a source left behind, seen through /proc; and waiting for conditions.
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import type { CameraState, FrameSource } from '../../src/camera/index.js';
import type { Frame } from '../../src/vision/index.js';

const PATIENCE_MS = 60_000;

/** Waits until `condition` holds; gives up, naming `what`, after a minute. */
export const until = async (what: string, condition: () => boolean): Promise<void> => {
  const end = performance.now() + PATIENCE_MS;
  while (!condition()) {
    if (performance.now() > end) throw new Error(`waited in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
};

const attempt = <T>(read: () => T, otherwise: T): T => {
  try {
    return read();
  } catch {
    return otherwise;
  }
};

/** Processes alive that carry `mark` in their environment, whoever their parent is by now. */
export const marked = (mark: string): number[] =>
  readdirSync('/proc')
    .filter((name) => /^[0-9]+$/.test(name) && Number(name) !== process.pid)
    .filter((pid) => attempt(() => readFileSync(`/proc/${pid}/environ`, 'utf8'), '').includes(mark))
    .map(Number);

const descriptors = (): string[] =>
  readdirSync('/proc/self/fd')
    .map((fd) => attempt(() => readlinkSync(`/proc/self/fd/${fd}`), ''))
    .filter((link) => link !== '');

export const openDescriptors = (): number => descriptors().length;

/** TCP sockets that this process listens on. */
export const listeners = (): number => {
  const ours = new Set(descriptors());
  return readFileSync('/proc/self/net/tcp', 'utf8')
    .split('\n')
    .slice(1)
    .map((line) => line.trim().split(/\s+/))
    .filter((fields) => fields[3] === '0A' && ours.has(`socket:[${fields[9]}]`)).length;
};

/** Everything that a source said. */
export interface Seen {
  readonly frames: Frame[];
  readonly states: CameraState[];
  readonly bad: string[];
  readonly problems: string[];
  readonly waits: number[];
  ended: number;
}

export const watch = (source: FrameSource): Seen => {
  const seen: Seen = { frames: [], states: [], bad: [], problems: [], waits: [], ended: 0 };
  source.on('frame', (frame) => seen.frames.push(frame));
  source.on('state', (state) => seen.states.push(state));
  source.on('bad', ({ reason }) => seen.bad.push(reason));
  source.on('problem', ({ message, restartInMs }) => {
    seen.problems.push(message);
    seen.waits.push(restartInMs);
  });
  source.on('ended', () => {
    seen.ended += 1;
  });
  return seen;
};

export const saidBy = (seen: Seen): number =>
  seen.frames.length + seen.states.length + seen.bad.length + seen.problems.length + seen.ended;
