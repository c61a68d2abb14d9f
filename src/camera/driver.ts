// What a driver owes its supervisor: bytes cut into frames, and how a run of it ended.
import type { Picture } from '../vision/index.js';
import type { FrameSize } from './source.js';

/** Where a run puts what it gets. Everything said after the run is over is ignored. */
export interface Sink {
  /** A complete frame whose last byte arrived at `receivedAtMs` (`performance.now()`; now when left out). */
  frame(picture: Picture, receivedAtMs?: number): void;
  /** A frame that must be dropped. */
  bad(reason: string): void;
  /** Complete frames that were dropped for a newer one. */
  skipped(count: number): void;
  /** For pace `fast`: resolves with true when the consumer can take a frame, with false when the run is over. */
  wanted(): Promise<boolean>;
  /** The source is at its end; nothing more will come. */
  ended(): void;
  /** The run is over because of what this plain sentence says. */
  failed(message: string): void;
}

/** One run of a driver. */
export interface Run {
  /** Ends it with everything it started. Bounded in time, called once, never rejects for what was gone already. */
  stop(): Promise<void>;
}

export interface Driver {
  /** Size of the frames where it is fixed. */
  readonly size: FrameSize | undefined;
  /** Expected time between two frames in milliseconds, where that is known. */
  readonly frameMs: number | undefined;
  /** Begins a run; never throws, and says nothing to the sink before it has returned. */
  start(sink: Sink): Run;
}
