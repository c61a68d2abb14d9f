// A detector process without a model: speaks the real one's protocol and misbehaves on demand.
import { writeSync } from 'node:fs';
import { Socket } from 'node:net';
import { encodeSeen, FrameReader, readShelf, type Seen } from '../../src/detector/index.js';
import type { Frame } from '../../src/vision/index.js';

const mode = process.argv[2] ?? 'serve';
const timings = { preprocessMs: 0, inferenceMs: mode === 'slow' ? 100 : 1, postprocessMs: 0 };
let seen = 0;
const answer = (seen: Seen): number => writeSync(6, encodeSeen(seen));
const say = (message: unknown): void => void process.send?.(message);
process.on('disconnect', () => process.exit(0));

if (mode === 'exit-early') process.exit(7);
if (mode === 'refuse') say({ type: 'failed', message: 'the model has no output called boxes' });
if (mode === 'babble') say({ type: 'hello' });
if (mode === 'stubborn') process.on('SIGTERM', () => undefined);

const take: (frame: Frame) => void = ({ seq, width, data }) => {
  seen += 1;
  if (mode === 'crash' || (mode === 'crash-later' && seen > 3)) process.exit(9);
  if (mode === 'hang') return;
  if (mode === 'wrong-frame') answer({ seq: seq + 1, rows: [], nonFinite: 0, timings });
  else if (mode === 'drop') say({ type: 'dropped', seq, reason: 'torn' });
  else {
    const sum = data.reduce((total, value) => total + value, 0);
    const nonFinite = mode === 'nan' ? 4 : 0;
    answer({ seq, rows: [0, 0, width, sum % 1000, 2, 0.5, -1, 0], nonFinite, timings });
  }
};
const shelf = { readShelf: (target: Uint8Array, place: number): void => readShelf(5, target, place) };
let direct = 0;
let early: { readonly frame: Frame; readonly after: number }[] = [];
const inOrder = (): void => {
  const frames = early;
  early = frames.filter(({ after }) => after > direct);
  for (const { frame, after } of frames) if (after <= direct) take(frame);
};
const directReader = new FrameReader((frame) => {
  take(frame);
  direct += 1;
  inOrder();
}, shelf);
const earlyReader = new FrameReader((frame, after) => {
  early.push({ frame, after });
  inOrder();
}, shelf);
new Socket({ fd: 4 }).on('data', (chunk) => earlyReader.push(chunk));
new Socket({ fd: 7 }).on('data', (chunk) => directReader.push(chunk));

if (!['exit-early', 'refuse', 'babble', 'silent'].includes(mode)) {
  say({ type: 'ready', warmUpMs: 1 });
}
