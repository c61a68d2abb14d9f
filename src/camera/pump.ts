// Moves frames from a stream to a sink: the newest one of a backlog, or every one at the consumer's pace.
import type { Readable } from 'node:stream';
import type { Picture } from '../vision/index.js';
import type { Sink } from './driver.js';
import type { FrameReader } from './frame-reader.js';

/**
 * For live sources: of the frames that were waiting in the pipe only the newest is delivered, the others are skipped. Resolves
 * when the stream is closed; never rejects.
 */
export const pumpNewest = (stream: Readable, reader: FrameReader, sink: Sink): Promise<void> => {
  let newest: { readonly picture: Picture; readonly atMs: number } | undefined;
  const flush = (): void => {
    const frame = newest;
    newest = undefined;
    if (frame !== undefined) sink.frame(frame.picture, frame.atMs);
  };
  return new Promise((resolve) => {
    stream.on('data', (chunk: Buffer) => {
      for (const item of reader.push(chunk)) {
        if ('bad' in item) {
          sink.bad(item.bad);
          continue;
        }
        // The event loop reads what waits in a pipe in one go before it comes to this.
        if (newest === undefined) setImmediate(flush);
        else sink.skipped(1);
        newest = { picture: item, atMs: performance.now() };
      }
    });
    stream.on('error', () => undefined);
    stream.once('close', () => {
      flush();
      sayEnd(reader, sink);
      resolve();
    });
    stream.resume();
  });
};

/**
 * For pace `fast`: the stream is read no further than the consumer takes frames, so that none is skipped. Resolves when the
 * stream is closed or the run is over; never rejects.
 */
export const pumpEvery = async (stream: Readable, reader: FrameReader, sink: Sink): Promise<void> => {
  try {
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      for (const item of reader.push(chunk)) {
        if ('bad' in item) sink.bad(item.bad);
        else if (await sink.wanted()) sink.frame(item);
        else return;
      }
    }
  } catch {
    // The stream was closed under it: the process is gone, and its end is told by its exit.
  }
  sayEnd(reader, sink);
};

/** A whole frame at the very end is not worth a rule of its own: it is dropped like a torn one, but not counted as bad. */
const sayEnd = (reader: FrameReader, sink: Sink): void => {
  for (const item of reader.end()) if ('bad' in item) sink.bad(item.bad);
};
