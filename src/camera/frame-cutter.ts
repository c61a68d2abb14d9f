// Cuts a stream of raw YUV 4:2:0 pictures into frames.
import type { FrameSize } from './source.js';

/** Bytes of a planar YUV 4:2:0 picture without row padding. */
export const yuvBytes = ({ width, height }: FrameSize): number => (width * height * 3) / 2;

/**
 * Takes pictures of `streamWidth` x `height` and gives back their middle `width` columns. Every frame is a buffer of its own:
 * it belongs to whoever holds it.
 */
export class FrameCutter {
  readonly size: FrameSize;
  readonly #streamWidth: number;
  readonly #bytes: number;
  #buffer: Buffer;
  #filled = 0;

  /** @param streamWidth width of the pictures in the stream, in pixels; `size.width` when left out */
  constructor(size: FrameSize, streamWidth: number = size.width) {
    this.size = size;
    this.#streamWidth = streamWidth;
    this.#bytes = yuvBytes({ width: streamWidth, height: size.height });
    this.#buffer = Buffer.allocUnsafeSlow(this.#bytes);
  }

  /** Bytes in the stream for one frame. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Bytes of a frame that is not complete yet. */
  get partial(): number {
    return this.#filled;
  }

  /** Yields the frames that `chunk` completes. The caller may stop between two of them and go on later. */
  *push(chunk: Uint8Array): Generator<Uint8Array> {
    for (let at = 0; at < chunk.length;) {
      const take = Math.min(chunk.length - at, this.#bytes - this.#filled);
      this.#buffer.set(chunk.subarray(at, at + take), this.#filled);
      this.#filled += take;
      at += take;
      if (this.#filled === this.#bytes) {
        this.#filled = 0;
        yield this.#streamWidth === this.size.width ? this.#whole() : this.#middle();
      }
    }
  }

  #whole(): Uint8Array {
    const frame = this.#buffer;
    this.#buffer = Buffer.allocUnsafeSlow(this.#bytes);
    return frame;
  }

  #middle(): Uint8Array {
    const { width, height } = this.size;
    const frame = Buffer.allocUnsafeSlow(yuvBytes(this.size));
    // Even, so that a chroma sample stays with its four pixels.
    const left = ((this.#streamWidth - width) >> 2) * 2;
    let from = 0;
    let to = 0;
    const plane = (streamWidth: number, columns: number, rows: number, first: number): void => {
      for (let row = 0; row < rows; row += 1) {
        this.#buffer.copy(frame, to, from + first, from + first + columns);
        from += streamWidth;
        to += columns;
      }
    };
    plane(this.#streamWidth, width, height, left);
    plane(this.#streamWidth / 2, width / 2, height / 2, left / 2);
    plane(this.#streamWidth / 2, width / 2, height / 2, left / 2);
    return frame;
  }
}
