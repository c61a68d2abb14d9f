// How a frame crosses to the detector process: a fixed header, then the picture's own bytes.
import { BitlaneError } from '../errors.js';
import type { Frame, PixelFormat, YuvColour } from '../vision/index.js';

/**
 * Bytes of a header, little endian: magic u32, format u32, width u32, height u32, payload u32, colour u32, seq f64, times f64 f64,
 * place f64 (in the shared memory; -1: the payload follows), after f64.
 */
export const HEADER_BYTES = 64;
const FOLLOWS = -1;
const MAX_PLACE = 2 ** 40;
const MAGIC = 0x314c_4e42;

/** No picture from a camera is larger: 8K YUV420 is 50 MB. */
export const MAX_PAYLOAD_BYTES = 64 * 1024 * 1024;
const MAX_SIDE = 16_384;
/** Memory for a frame holds somewhat larger ones too. */
const ROOM_TO_GROW = 1.5;

const FORMATS: readonly PixelFormat[] = ['jpeg', 'yuv420', 'rgb24'];
/** 0 in a header: the frame does not say. */
const COLOURS: readonly (YuvColour | undefined)[] = [
  undefined,
  'bt601-full',
  'bt601-limited',
  'bt709-full',
  'bt709-limited',
];

/** Bytes that a raw picture must have; `undefined` for compressed formats. */
export const rawBytes = (format: PixelFormat, width: number, height: number): number | undefined => {
  switch (format) {
    case 'jpeg':
      return undefined;
    case 'yuv420':
      return width * height + 2 * Math.ceil(width / 2) * Math.ceil(height / 2);
    case 'rgb24':
      return width * height * 3;
  }
};

/**
 * The header of `frame`. Throws `BAD_FRAME` for a frame that {@link FrameReader} would refuse.
 * @param place where its bytes lie in the shared memory; left out, they follow the header
 * @param after frames that this process was given through its other pipe, and that come before this one
 */
export const encodeHeader = (frame: Frame, place: number = FOLLOWS, after = 0): Uint8Array => {
  const problem = checkSize(frame.format, frame.width, frame.height, frame.data.byteLength);
  if (problem !== undefined) throw new BitlaneError('BAD_FRAME', problem);
  const bytes = new Uint8Array(HEADER_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, MAGIC, true);
  view.setUint32(4, FORMATS.indexOf(frame.format), true);
  view.setUint32(8, frame.width, true);
  view.setUint32(12, frame.height, true);
  view.setUint32(16, frame.data.byteLength, true);
  view.setUint32(20, COLOURS.indexOf(frame.colour), true);
  view.setFloat64(24, frame.seq, true);
  view.setFloat64(32, frame.receivedAtMs, true);
  view.setFloat64(40, frame.wallMs, true);
  view.setFloat64(48, place, true);
  view.setFloat64(56, after, true);
  return bytes;
};

const checkSize = (
  format: PixelFormat,
  width: number,
  height: number,
  payload: number,
): string | undefined => {
  for (const [name, side] of [
    ['width', width],
    ['height', height],
  ] as const) {
    if (!Number.isInteger(side) || side < 1 || side > MAX_SIDE) {
      return `a frame's ${name} must be a whole number from 1 to ${MAX_SIDE}, and this one is ${side}`;
    }
  }
  if (payload < 1 || payload > MAX_PAYLOAD_BYTES) {
    return `a frame must hold 1 to ${MAX_PAYLOAD_BYTES} bytes, and this one holds ${payload}`;
  }
  const expected = rawBytes(format, width, height);
  return expected === undefined || expected === payload
    ? undefined
    : `a ${width}x${height} ${format} frame holds ${expected} bytes, and this one holds ${payload}`;
};

interface Header {
  readonly frame: Omit<Frame, 'data'>;
  readonly payload: number;
  readonly place: number;
  readonly after: number;
}

const decodeHeader = (bytes: Uint8Array): Header => {
  const view = new DataView(bytes.buffer, bytes.byteOffset, HEADER_BYTES);
  const bad = (rule: string): never => {
    throw new BitlaneError('BAD_FRAME', rule);
  };
  if (view.getUint32(0, true) !== MAGIC) bad('the frame stream does not start with a frame header');
  const format = FORMATS[view.getUint32(4, true)] ?? bad('the frame header names an unknown pixel format');
  const [width, height] = [view.getUint32(8, true), view.getUint32(12, true)];
  const payload = view.getUint32(16, true);
  const problem = checkSize(format, width, height, payload);
  if (problem !== undefined) bad(problem);
  const colourCode = view.getUint32(20, true);
  if (colourCode >= COLOURS.length) bad('the frame header names an unknown colour matrix');
  const colour = COLOURS[colourCode];
  const [seq, receivedAtMs, wallMs] = [24, 32, 40].map((at) => view.getFloat64(at, true));
  if (seq === undefined || !Number.isSafeInteger(seq) || seq < 0) {
    return bad('the frame header has no sequence number');
  }
  const place = view.getFloat64(48, true);
  if (!Number.isInteger(place) || place < FOLLOWS || place > MAX_PLACE) {
    return bad('the frame header names an impossible place');
  }
  const after = view.getFloat64(56, true);
  if (!Number.isSafeInteger(after) || after < 0) return bad('the frame header counts wrongly');
  const frame = { seq, receivedAtMs: receivedAtMs ?? 0, wallMs: wallMs ?? 0, format, width, height };
  return { frame: colour === undefined ? frame : { ...frame, colour }, payload, place, after };
};

/** A frame whose bytes are still coming. */
interface OpenFrame {
  readonly frame: Omit<Frame, 'data'>;
  readonly after: number;
  readonly data: Uint8Array;
  filled: number;
}

export interface FrameReaderOptions {
  /** Fills `target` with what lies at `place` of the shared memory; without it such frames are refused. */
  readonly readShelf?: (target: Uint8Array, place: number) => void;
  /** The bytes of a frame are only good until `onFrame` returns: the next frame takes their place. */
  readonly reuse?: boolean;
  /** With `reuse`: memory of `bytes` bytes for a frame, where there is better memory than the reader's own. */
  readonly room?: (frame: Omit<Frame, 'data'>, bytes: number) => Uint8Array | undefined;
}

/**
 * Cuts a byte stream back into frames. Each frame's buffer is filled once: no chunk is joined twice. A stream that breaks the
 * format cannot be found again, so the reader throws and is done.
 */
export class FrameReader {
  readonly #onFrame: (frame: Frame, after: number) => void;
  readonly #header = new Uint8Array(HEADER_BYTES);
  readonly #options: FrameReaderOptions;
  #filled = 0;
  #open: OpenFrame | undefined;
  #own: Uint8Array | undefined;
  #broken = false;

  constructor(onFrame: (frame: Frame, after: number) => void, options: FrameReaderOptions = {}) {
    this.#onFrame = onFrame;
    this.#options = options;
  }

  /** True between frames: an end of the stream here tears nothing. */
  get atBoundary(): boolean {
    return this.#open === undefined && this.#filled === 0;
  }

  /** Takes the next bytes. Throws `BAD_FRAME` when they break the format, and on every call after that. */
  push(chunk: Uint8Array): void {
    if (this.#broken) throw new BitlaneError('BAD_FRAME', 'the frame stream is broken');
    let at = 0;
    while (at < chunk.byteLength) {
      at += this.#open === undefined ? this.#takeHeader(chunk, at) : this.#takePayload(this.#open, chunk, at);
    }
  }

  #takeHeader(chunk: Uint8Array, at: number): number {
    const count = Math.min(HEADER_BYTES - this.#filled, chunk.byteLength - at);
    this.#header.set(chunk.subarray(at, at + count), this.#filled);
    this.#filled += count;
    if (this.#filled < HEADER_BYTES) return count;
    this.#filled = 0;
    try {
      const { frame, payload, place, after } = decodeHeader(this.#header);
      const data = this.#room(frame, payload);
      if (place === FOLLOWS) this.#open = { frame, after, data, filled: 0 };
      else {
        if (this.#options.readShelf === undefined) {
          throw new BitlaneError('BAD_FRAME', 'the frame lies in shared memory, and there is none');
        }
        this.#options.readShelf(data, place);
        this.#onFrame({ ...frame, data }, after);
      }
    } catch (error) {
      this.#broken = true;
      throw error;
    }
    return count;
  }

  /** Every byte is written before anyone reads it. */
  #room(frame: Omit<Frame, 'data'>, bytes: number): Uint8Array {
    const { reuse, room } = this.#options;
    if (reuse !== true) return Buffer.allocUnsafeSlow(bytes);
    const given = room?.(frame, bytes);
    if (given !== undefined) return given;
    // JPEGs differ in length: fresh memory for each would cost more than filling it.
    if ((this.#own?.byteLength ?? 0) < bytes)
      this.#own = Buffer.allocUnsafeSlow(Math.ceil(ROOM_TO_GROW * bytes));
    return this.#own?.subarray(0, bytes) ?? new Uint8Array(bytes);
  }

  #takePayload(open: OpenFrame, chunk: Uint8Array, at: number): number {
    const count = Math.min(open.data.byteLength - open.filled, chunk.byteLength - at);
    open.data.set(chunk.subarray(at, at + count), open.filled);
    open.filled += count;
    if (open.filled === open.data.byteLength) {
      this.#open = undefined;
      this.#onFrame({ ...open.frame, data: open.data }, open.after);
    }
    return count;
  }
}
