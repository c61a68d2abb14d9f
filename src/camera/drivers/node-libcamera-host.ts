// The process in which node-libcamera runs: it starts rpicam-vid through a shell, and takes it along when it ends.
import nodeLibcamera from 'node-libcamera';
import { messageOf } from '../../errors.js';
import { checkOptions, type VideoOptions } from './libcamera-options.js';

const GRACE_MS = 800;
const SAID = 4_000;

const isOptions = (value: unknown): value is VideoOptions =>
  typeof value === 'object' &&
  value !== null &&
  Object.values(value).every((entry) => entry === true || typeof entry === 'string');

let ending = false;

// node-libcamera gives no handle to what it starts, but all of it is in the process group that this process leads.
const signalGroup = (signal: NodeJS.Signals): void => {
  try {
    process.kill(-process.pid, signal);
  } catch {
    // This process leads no group: then there is nothing of ours to end.
  }
};

const end = (): void => {
  if (ending) return;
  ending = true;
  signalGroup('SIGTERM');
  setTimeout(() => signalGroup('SIGKILL'), GRACE_MS).unref();
};

/** Says why the camera ended, where that was not asked for. */
const leave = (said: string): void => {
  if (!ending) process.stderr.write(`${said.slice(-SAID)}\n`);
  process.exit(ending ? 0 : 1);
};

process.on('SIGTERM', end);
process.on('SIGINT', end);
// The owner holds the other end: it closes when the owner wants an end, and when the owner is gone.
process.stdin.on('error', end).on('close', end).resume();

const options: unknown = JSON.parse(process.argv[2] ?? 'null');
if (!isOptions(options)) throw new TypeError('the first argument must be the camera options as JSON');
nodeLibcamera.libcamera.vid(checkOptions(options) as Parameters<typeof nodeLibcamera.libcamera.vid>[0]).then(
  (said) => leave(said),
  (error: unknown) => leave(messageOf(error)),
);
