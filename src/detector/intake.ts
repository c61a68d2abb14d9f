// The intake thread of a detector process: reads and prepares the next frame while the model runs on the one before.
import { type OnReadOpts, Socket, type SocketConstructorOpts } from 'node:net';
import { parentPort, workerData } from 'node:worker_threads';
import { BitlaneError, messageOf } from '../errors.js';
import { encodeJpeg, type Frame, type Picture, Preprocessor } from '../vision/index.js';
import { readShelf } from './frame-shelf.js';
import type { IntakeData, IntakeMessage, Tensor } from './intake-messages.js';
import { FrameReader } from './wire.js';

const FRAME_FD = 4;
const SHELF_FD = 5;
/** A socket hands over about this much at once. */
const CHUNK_BYTES = 256 * 1024;
const MAX_REASON = 512;

const port = parentPort;
if (port === null) throw new BitlaneError('INTERNAL', 'the intake runs in a thread of the detector process');
const { input } = workerData as IntakeData;

const preprocessor = new Preprocessor();
const size = 3 * input.width * input.height;
/** Tensors that the model is done with. */
const free: Tensor[] = [];
port.on('message', (tensor: Tensor) => free.push(tensor));

const say = (message: IntakeMessage, tensor?: Tensor): void =>
  port.postMessage(message, tensor === undefined ? [] : [tensor.buffer]);

/** @param seq `undefined` for a picture that only warms up */
const prepare = (picture: Picture, seq: number | undefined): void => {
  const { width, height } = picture;
  const started = performance.now();
  const tensor = free.pop() ?? new Float32Array(size);
  const transform = preprocessor.preprocess(picture, input, tensor);
  const preprocessMs = performance.now() - started;
  say({ type: 'prepared', seq, tensor, transform, width, height, preprocessMs }, tensor);
};

const take = (frame: Frame): void => {
  try {
    prepare(frame, frame.seq);
  } catch (error) {
    if (!(error instanceof BitlaneError) || error.code !== 'BAD_FRAME') throw error;
    say({ type: 'dropped', seq: frame.seq, reason: error.message.slice(0, MAX_REASON) });
  }
};

const warmUp = (): void => {
  const { width, height } = input;
  const grey: Picture & { format: 'rgb24' } = {
    format: 'rgb24',
    width,
    height,
    data: new Uint8Array(3 * width * height).fill(114),
  };
  prepare(grey, undefined);
  try {
    prepare({ ...grey, format: 'jpeg', data: encodeJpeg(grey, 90) }, undefined);
  } catch (error) {
    // A camera that sends raw frames needs no JPEG library; one that does gets this error with its first frame.
    if (!(error instanceof BitlaneError) || error.code !== 'UNSUPPORTED') throw error;
  }
};

warmUp();
say({ type: 'warm' });
const reader = new FrameReader(take, {
  // A frame is prepared before the next one is read.
  reuse: true,
  room: (frame, bytes) => {
    try {
      const room = preprocessor.room(frame, input);
      return room?.byteLength === bytes ? room : undefined;
    } catch {
      // What is wrong with the frame is said when it is taken.
      return undefined;
    }
  },
  readShelf: (target, place) => readShelf(SHELF_FD, target, place),
});
/** One buffer for all reads: a large frame comes in many. The types of the constructor lack `onread`. */
const socketOptions: SocketConstructorOpts & { readonly onread: OnReadOpts } = {
  fd: FRAME_FD,
  readable: true,
  writable: false,
  onread: {
    buffer: Buffer.allocUnsafeSlow(CHUNK_BYTES),
    callback: (count, buffer) => {
      try {
        reader.push(buffer.subarray(0, count));
        return true;
      } catch (error) {
        say({ type: 'failed', message: messageOf(error) });
        return false;
      }
    },
  },
};
new Socket(socketOptions)
  .on('end', () => say({ type: 'failed', message: 'the frame channel was closed' }))
  .on('error', (error) => say({ type: 'failed', message: `the frame channel broke: ${error.message}` }))
  .resume();
