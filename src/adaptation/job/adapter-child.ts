// The adapter's process: one job, from where it was left. Killed at any moment it loses the step it was at, and no more.
import sharp from 'sharp';
import { asBitlaneError, BitlaneError } from '../../errors.js';
import type { AdapterMessage } from './messages.js';
import { runJob } from './run-job.js';

const MAX_MESSAGE = 2_048;
/** Bars move no faster than people look. */
const TELL_EVERY_MS = 500;

const say = (message: AdapterMessage): Promise<void> =>
  new Promise((resolve) => {
    if (process.send === undefined || !process.connected) resolve();
    else process.send(message, () => resolve());
  });

const stop = new AbortController();
const end = (): void => stop.abort(new BitlaneError('TIMEOUT', 'the adaptation was stopped'));
process.on('SIGTERM', end);
// The owner's Ctrl-C goes to its whole process group: when the adapter ends is the owner's business.
process.on('SIGINT', () => undefined);
process.on('disconnect', () => process.exit(1));

sharp.concurrency(1);
let told = { step: '', atMs: 0 };
try {
  const [folder = ''] = process.argv.slice(2);
  await runJob(folder, {
    signal: stop.signal,
    onProgress: (step, done, all) => {
      const now = performance.now();
      if (step === told.step && now - told.atMs < TELL_EVERY_MS && done < all) return;
      told = { step, atMs: now };
      void say({ type: 'progress', step, done, all });
    },
    onTiming: (isTiming) => say({ type: 'timing', isTiming }),
  });
  await say({ type: 'done' });
  process.exit(0);
} catch (thrown) {
  const { code, message } = asBitlaneError(thrown);
  await say({ type: 'failed', code, message: message.slice(0, MAX_MESSAGE) });
  process.exit(stop.signal.aborted ? 0 : 1);
}
