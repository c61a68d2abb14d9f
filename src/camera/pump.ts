// Moves frames from a stream to a sink: the newest one of a backlog, or every one at the consumer's pace.
import type { Readable } from 'node:stream';
import type { YuvColour } from '../vision/index.js';
import type { Sink } from './driver.js';
import type { FrameCutter } from './frame-cutter.js';

type Deliver = (data: Uint8Array, receivedAtMs?: number) => void;

const deliverTo = (sink: Sink, cutter: FrameCutter, colour: YuvColour): Deliver => {
  const { width, height } = cutter.size;
  return (data, at) => sink.frame({ format: 'yuv420', width, height, data, colour }, at);
};

const sayPartial = (sink: Sink, cutter: FrameCutter): void => {
  if (cutter.partial > 0) sink.bad(`the frame is torn: ${cutter.partial} of ${cutter.bytes} bytes came`);
};

/**
 * For live sources: of the frames that were waiting in the pipe only the newest is delivered, the others are skipped. Resolves
 * when the stream is closed; never rejects.
 */
export const pumpNewest = (
  stream: Readable,
  cutter: FrameCutter,
  colour: YuvColour,
  sink: Sink,
): Promise<void> => {
  const deliver = deliverTo(sink, cutter, colour);
  let newest: { readonly data: Uint8Array; readonly atMs: number } | undefined;
  const flush = (): void => {
    const frame = newest;
    newest = undefined;
    if (frame !== undefined) deliver(frame.data, frame.atMs);
  };
  return new Promise((resolve) => {
    stream.on('data', (chunk: Buffer) => {
      for (const data of cutter.push(chunk)) {
        // The event loop reads what waits in a pipe in one go before it comes to this.
        if (newest === undefined) setImmediate(flush);
        else sink.skipped(1);
        newest = { data, atMs: performance.now() };
      }
    });
    stream.on('error', () => undefined);
    stream.once('close', () => {
      flush();
      sayPartial(sink, cutter);
      resolve();
    });
    stream.resume();
  });
};

/**
 * For pace `fast`: the stream is read no further than the consumer takes frames, so that none is skipped. Resolves when the
 * stream is closed or the run is over; never rejects.
 */
export const pumpEvery = async (
  stream: Readable,
  cutter: FrameCutter,
  colour: YuvColour,
  sink: Sink,
): Promise<void> => {
  const deliver = deliverTo(sink, cutter, colour);
  try {
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      for (const data of cutter.push(chunk)) {
        if (!(await sink.wanted())) return;
        deliver(data);
      }
    }
  } catch {
    // The stream was closed under it: the process is gone, and its end is told by its exit.
  }
  sayPartial(sink, cutter);
};
