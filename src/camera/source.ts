// What a camera is to the rest of the daemon: one interface, whatever stands behind it.
import type { CameraConfig } from '../config/index.js';
import type { Emitter } from '../system/index.js';
import type { Frame } from '../vision/index.js';

/** `waiting`: backing off before a restart. */
export type CameraState = 'starting' | 'running' | 'waiting' | 'stopped';

export interface CameraCounters {
  /** Complete frames, the skipped ones included. */
  readonly received: number;
  /** Frames that were short, torn or of another size. */
  readonly bad: number;
  /** Starts after the first one. */
  readonly restarts: number;
  /** Restarts because no complete frame came in time. */
  readonly stalls: number;
  /** Complete frames that the source itself dropped: a newer one was there, or their time was over. */
  readonly skipped: number;
}

export interface CameraEvents {
  /** `seq` counts over restarts and leaves out the numbers of skipped frames. */
  frame: Frame;
  state: CameraState;
  /** A frame was dropped and counted. */
  bad: { readonly reason: string };
  /** One plain sentence; a restart follows. */
  problem: { readonly message: string; readonly restartInMs: number };
  /** A source that ends by itself (a file or folder without `loop`) is at its end; no restart follows. */
  ended: undefined;
}

export interface FrameSize {
  /** Pixels. */
  readonly width: number;
  readonly height: number;
}

/** A camera, a video file or a folder of pictures. */
export interface FrameSource extends Emitter<CameraEvents> {
  readonly kind: CameraConfig['kind'];
  readonly state: CameraState;
  readonly counters: CameraCounters;
  /** Size of its frames; `undefined` until that is known. */
  readonly size: FrameSize | undefined;
  /** Begins. Never throws for a camera that is away: that is a `problem`. Does nothing when it has begun. */
  start(): void;
  /**
   * The consumer can take another frame. A source with pace `fast` delivers its first frame by itself and every other one only
   * after this; live ones ignore it. It is remembered over a restart, and saying it twice is saying it once.
   */
  ready(): void;
  /** Stops the source and starts it again at once, without back-off. Does nothing after {@link FrameSource.stop}. */
  restart(): Promise<void>;
  /** Ends it with every process and socket of it. Safe to call twice; nothing is emitted once it has returned its promise. */
  stop(): Promise<void>;
}
