// What comes out of a stream of bytes: pictures, and what must be dropped.
import { type Picture, readJpegSize, type YuvColour } from '../vision/index.js';
import type { FrameCutter } from './frame-cutter.js';
import { type MjpegItem, MjpegSplitter } from './mjpeg.js';
import type { FrameSize } from './source.js';

/** A picture, or a sentence that says why there is none. */
export type ReadItem = Picture | { readonly bad: string };

/** Each of its generators must be run to its end before the next one is asked for. */
export interface FrameReader {
  /** What `chunk` completes. */
  push(chunk: Uint8Array): Iterable<ReadItem>;
  /** The end of the stream: what is not complete by now is torn. */
  end(): Iterable<ReadItem>;
}

/** Raw pictures of a fixed size. */
export const yuvReader = (cutter: FrameCutter, colour: YuvColour): FrameReader => {
  const { width, height } = cutter.size;
  return {
    *push(chunk) {
      for (const data of cutter.push(chunk)) yield { format: 'yuv420', width, height, data, colour };
    },
    *end() {
      const { partial, bytes } = cutter;
      if (partial > 0) yield { bad: `the frame is torn: ${partial} of ${bytes} bytes came` };
    },
  };
};

/** JPEGs of a fixed size, one after the other. */
export const jpegReader = ({ width, height }: FrameSize): FrameReader => {
  const splitter = new MjpegSplitter();
  const judge = (item: MjpegItem): ReadItem => {
    if ('bad' in item) return { bad: `the picture ${item.bad}` };
    const size = readJpegSize(item.data);
    if ('fault' in size) return { bad: `the picture ${size.reason}` };
    if (size.width !== width || size.height !== height) {
      return { bad: `the picture has ${size.width}x${size.height} pixels, not ${width}x${height}` };
    }
    return { format: 'jpeg', width, height, data: item.data };
  };
  return {
    *push(chunk) {
      for (const item of splitter.push(chunk)) yield judge(item);
    },
    *end() {
      for (const item of splitter.end()) yield judge(item);
    },
  };
};
