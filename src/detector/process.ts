// The detector process: one artifact, one session. Frames come in through its intake thread, answers go out over a pipe.
import { writeSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { BitlaneError, messageOf } from '../errors.js';
import { readArtifactFolder } from '../registry/index.js';
import { openSession } from '../runtime/index.js';
import { Pipeline } from '../vision/index.js';
import type { IntakeData, IntakeMessage } from './intake-messages.js';
import type { DetectorMessage } from './messages.js';
import { processOptionsSchema } from './options.js';
import { encodeSeen } from './result-wire.js';

const MAX_MESSAGE = 2048;
const RESULT_FD = 6;

/** Blocks where nobody reads, which only delays the next frame; the supervisor's end is gone with the supervisor. */
const answer = (bytes: Uint8Array): void => {
  for (let at = 0; at < bytes.byteLength;) at += writeSync(RESULT_FD, bytes, at);
};

const say = (message: DetectorMessage): void => void process.send?.(message);

/** Says why, once, and is gone. A native call that never returns must not hold the process: the kernel ends it. */
const fail = (error: unknown): void => {
  const message = messageOf(error).slice(0, MAX_MESSAGE);
  const end = (): void => void process.kill(process.pid, 'SIGKILL');
  if (process.send === undefined) end();
  else process.send({ type: 'failed', message } satisfies DetectorMessage, end);
};

process.on('uncaughtException', fail);
// The supervisor's Ctrl-C goes to its whole process group: when the detector ends is the supervisor's business.
process.on('SIGINT', () => undefined);
process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'));

const [folder = '', rawOptions = '{}'] = process.argv.slice(2);
const { artifactId, threads, spinning, classes, ...options } = processOptionsSchema.parse(
  JSON.parse(rawOptions),
);
const artifact = await readArtifactFolder(folder);
if (artifact.id !== artifactId) {
  throw new BitlaneError('BAD_MODEL', `${folder} holds another artifact than ${artifactId.slice(0, 12)}`);
}
const spec = artifact.manifest.detector;
const started = performance.now();
const intake = new Worker(new URL('./intake.js', import.meta.url), {
  workerData: { input: spec.input } satisfies IntakeData,
});
intake.on('error', fail);
const session = await openSession(artifact.modelPath, { threads, spinning });
const pipeline = new Pipeline(session, spec, { ...options, ...(classes === undefined ? {} : { classes }) });

const detect = async (message: Extract<IntakeMessage, { type: 'prepared' }>): Promise<void> => {
  const { seq, tensor, preprocessMs } = message;
  const { detections, nonFinite, timings } = await pipeline.detectPrepared(message);
  if (seq !== undefined) {
    const rows = detections.flatMap(({ x1, y1, x2, y2, classId, score }) => [x1, y1, x2, y2, classId, score]);
    answer(encodeSeen({ seq, rows, nonFinite, timings: { ...timings, preprocessMs } }));
  }
  intake.postMessage(tensor, [tensor.buffer]);
};

const handle = async (message: IntakeMessage): Promise<void> => {
  switch (message.type) {
    case 'prepared':
      await detect(message);
      break;
    case 'dropped':
      say(message);
      break;
    case 'warm':
      say({ type: 'ready', warmUpMs: performance.now() - started });
      break;
    case 'failed':
      fail(new Error(message.message));
      break;
  }
};

let last = Promise.resolve();
intake.on('message', (message: IntakeMessage) => {
  last = last.then(() => handle(message)).catch(fail);
});
