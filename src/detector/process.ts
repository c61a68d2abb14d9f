// The detector process: one artifact, one session. A frame that finds it idle is taken by the model's own thread; one that finds it
// busy comes in through the intake thread. Answers go out over a pipe.
import { writeSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { BitlaneError, messageOf } from '../errors.js';
import { readArtifactFolder } from '../registry/index.js';
import { openSession } from '../runtime/index.js';
import { type InputData, Pipeline, type Picture, Preprocessor } from '../vision/index.js';
import { type PreparedFrame, prepareInto, readFrames, warmUpPictures } from './frame-input.js';
import type { IntakeData, IntakeMessage } from './intake-messages.js';
import type { DetectorMessage } from './messages.js';
import { processOptionsSchema } from './options.js';
import { encodeSeen, toRows } from './result-wire.js';

const MAX_MESSAGE = 2048;
const RESULT_FD = 6;
const DIRECT_FD = 7;

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
const pipeline = new Pipeline(session, spec, {
  ...options,
  labels: 'ranked',
  ...(classes === undefined ? {} : { classes }),
});

interface Prepared extends PreparedFrame {
  /** `undefined`: a grey picture that warms the model up. */
  readonly seq: number | undefined;
  readonly tensor: InputData;
}

const detect = async (frame: Prepared): Promise<void> => {
  const { detections, nonFinite, timings } = await pipeline.detectPrepared(frame);
  const { seq, preprocessMs } = frame;
  if (seq === undefined) return;
  answer(encodeSeen({ seq, rows: toRows(detections), nonFinite, timings: { ...timings, preprocessMs } }));
};

let last = Promise.resolve();
const inTurn = (work: () => Promise<void> | void): void => {
  last = last.then(work).catch(fail);
};

const preprocessor = new Preprocessor();
/** The supervisor gives a frame to this thread only when it holds no other: the tensor is free. */
const take = (picture: Picture, seq: number | undefined): void => {
  const tensor = preprocessor.tensor(spec.input);
  const prepared = prepareInto(preprocessor, picture, spec.input, tensor);
  inTurn(() => detect({ ...prepared, seq, tensor }));
};

const handle = async (message: IntakeMessage): Promise<void> => {
  switch (message.type) {
    case 'prepared':
      await detect(message);
      intake.postMessage(message.tensor, [message.tensor.buffer]);
      break;
    case 'dropped':
      say(message);
      break;
    case 'warm':
      readFrames({
        fd: DIRECT_FD,
        preprocessor,
        input: spec.input,
        take: (frame) => {
          try {
            take(frame, frame.seq);
          } finally {
            taken += 1;
            inOrder();
          }
        },
        dropped: (seq, reason) => say({ type: 'dropped', seq, reason }),
        failed: (reason) => fail(new Error(reason)),
      });
      say({ type: 'ready', warmUpMs: performance.now() - started });
      break;
    case 'failed':
      fail(new Error(message.message));
      break;
  }
};

/** Frames that this thread took itself. */
let taken = 0;
/** What the intake prepared before this thread had read a frame that comes first: a process that was held up finds both. */
let early: IntakeMessage[] = [];
const inOrder = (): void => {
  const messages = early;
  early = [];
  for (const message of messages) {
    if (message.type === 'prepared' && message.after > taken) early.push(message);
    else inTurn(() => handle(message));
  }
};
intake.on('message', (message: IntakeMessage) => {
  early.push(message);
  inOrder();
});
for (const picture of warmUpPictures(spec.input)) take(picture, undefined);
