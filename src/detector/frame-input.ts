// The reading end of a frame channel in the detector process: bytes from the pipe, frames from the shared memory, made into tensors.
import { type OnReadOpts, Socket, type SocketConstructorOpts } from 'node:net';
import { BitlaneError, messageOf } from '../errors.js';
import type { InputSpec } from '../registry/index.js';
import {
  encodeJpeg,
  type Frame,
  type InputData,
  type LetterboxTransform,
  type Picture,
  type Preprocessor,
} from '../vision/index.js';
import { readShelf } from './frame-shelf.js';
import { FrameReader } from './wire.js';

const SHELF_FD = 5;
/** A socket hands over about this much at once. */
const CHUNK_BYTES = 256 * 1024;
const MAX_REASON = 512;

/** A frame as the model takes it. */
export interface PreparedFrame {
  readonly transform: LetterboxTransform;
  readonly width: number;
  readonly height: number;
  readonly preprocessMs: number;
}

/** Fills `tensor` with a picture. Throws `BAD_FRAME`. */
export const prepareInto = (
  preprocessor: Preprocessor,
  picture: Picture,
  input: InputSpec,
  tensor: InputData,
): PreparedFrame => {
  const { width, height } = picture;
  const started = performance.now();
  const transform = preprocessor.preprocess(picture, input, tensor);
  return { transform, width, height, preprocessMs: performance.now() - started };
};

/** Grey pictures of the input's size that every path of a frame can be warmed up with. */
export const warmUpPictures = ({ width, height }: InputSpec): readonly Picture[] => {
  const grey: Picture & { format: 'rgb24' } = {
    format: 'rgb24',
    width,
    height,
    data: new Uint8Array(3 * width * height).fill(114),
  };
  try {
    return [grey, { ...grey, format: 'jpeg', data: encodeJpeg(grey, 90) }];
  } catch (error) {
    // A camera that sends raw frames needs no JPEG library; one that does gets this error with its first frame.
    if (error instanceof BitlaneError && error.code === 'UNSUPPORTED') return [grey];
    throw error;
  }
};

export interface FrameInputOptions {
  /** File descriptor of the pipe. */
  readonly fd: number;
  readonly preprocessor: Preprocessor;
  readonly input: InputSpec;
  /** Takes a frame before the next one is read; may throw `BAD_FRAME`. */
  readonly take: (frame: Frame, after: number) => void;
  /** A frame that was refused. */
  readonly dropped: (seq: number, reason: string) => void;
  /** The channel is broken or closed. */
  readonly failed: (message: string) => void;
}

/** Reads frames for as long as the process lives. */
export const readFrames = (options: FrameInputOptions): void => {
  const { fd, preprocessor, input, take, dropped, failed } = options;
  const takeOrDrop = (frame: Frame, after: number): void => {
    try {
      take(frame, after);
    } catch (error) {
      if (!(error instanceof BitlaneError) || error.code !== 'BAD_FRAME') throw error;
      dropped(frame.seq, error.message.slice(0, MAX_REASON));
    }
  };
  const reader = new FrameReader(takeOrDrop, {
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
    fd,
    readable: true,
    writable: false,
    onread: {
      buffer: Buffer.allocUnsafeSlow(CHUNK_BYTES),
      callback: (count, buffer) => {
        try {
          reader.push(buffer.subarray(0, count));
          return true;
        } catch (error) {
          failed(messageOf(error));
          return false;
        }
      },
    },
  };
  new Socket(socketOptions)
    .on('end', () => failed('the frame channel was closed'))
    .on('error', (error) => failed(`the frame channel broke: ${error.message}`))
    .resume();
};
