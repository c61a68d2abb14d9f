// The intake thread of a detector process: reads and prepares the next frame while the model runs on the one before.
import { parentPort, workerData } from 'node:worker_threads';
import { BitlaneError } from '../errors.js';
import { type InputData, newInputData, type Picture, Preprocessor } from '../vision/index.js';
import { prepareInto, readFrames, warmUpPictures } from './frame-input.js';
import type { IntakeData, IntakeMessage } from './intake-messages.js';

const FRAME_FD = 4;

const port = parentPort;
if (port === null) throw new BitlaneError('INTERNAL', 'the intake runs in a thread of the detector process');
const { input } = workerData as IntakeData;

const preprocessor = new Preprocessor();
/** Tensors that the model is done with. */
const free: InputData[] = [];
port.on('message', (tensor: InputData) => free.push(tensor));

const say = (message: IntakeMessage, tensor?: InputData): void =>
  port.postMessage(message, tensor === undefined ? [] : [tensor.buffer]);

/** @param seq `undefined` for a picture that only warms up */
const prepare = (picture: Picture, seq: number | undefined, after: number): void => {
  const tensor = free.pop() ?? newInputData(input);
  say({ type: 'prepared', seq, after, tensor, ...prepareInto(preprocessor, picture, input, tensor) }, tensor);
};

for (const picture of warmUpPictures(input)) prepare(picture, undefined, 0);
say({ type: 'warm' });
readFrames({
  fd: FRAME_FD,
  preprocessor,
  input,
  take: (frame, after) => prepare(frame, frame.seq, after),
  dropped: (seq, reason) => say({ type: 'dropped', seq, reason }),
  failed: (message) => say({ type: 'failed', message }),
});
