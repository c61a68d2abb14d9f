// What flows from a camera to a consumer: frames and detections.

/** `yuv420` is planar I420 (Y, U, V, no row padding); `rgb24` is interleaved. */
export type PixelFormat = 'jpeg' | 'yuv420' | 'rgb24';

/**
 * Which numbers a `yuv420` frame holds. `bt601-full` is JPEG's own (JFIF) and what `rpicam-vid --codec yuv420` delivers; video
 * files and network cameras mostly hold `bt709-limited` (HD) or `bt601-limited`.
 */
export type YuvColour = 'bt601-full' | 'bt601-limited' | 'bt709-full' | 'bt709-limited';

/** One picture from a camera. The bytes belong to whoever holds the frame; nobody writes to them. */
export interface Frame {
  /** Counts every frame a source received, from 0, across restarts of the camera. */
  readonly seq: number;
  /** `performance.now()` of the supervisor when the last byte had arrived. */
  readonly receivedAtMs: number;
  /** UTC, milliseconds since the epoch, at the same moment. */
  readonly wallMs: number;
  readonly format: PixelFormat;
  /** Pixels. */
  readonly width: number;
  readonly height: number;
  readonly data: Uint8Array;
  /** `yuv420` only; `bt601-full` where absent. */
  readonly colour?: YuvColour;
}

/** The pixels of a frame, without its place in time. */
export type Picture = Pick<Frame, 'format' | 'width' | 'height' | 'data' | 'colour'>;

/** A decoded picture: interleaved red, green, blue, 8 bits each, no row padding. */
export interface RgbImage {
  readonly format: 'rgb24';
  readonly width: number;
  readonly height: number;
  readonly data: Uint8Array;
}

/** A box in pixels of the source frame, x1 <= x2, y1 <= y2, clipped to the frame. */
export interface Box {
  readonly x1: number;
  readonly y1: number;
  readonly x2: number;
  readonly y2: number;
}

/** A box with a class and a score in 0..1. `classId` indexes the artifact's `classes`. */
export interface Detection extends Box {
  readonly classId: number;
  readonly score: number;
  /** The next best of the kept classes at the same place, where it was asked for and the model tells. */
  readonly rival?: { readonly classId: number; readonly score: number };
}
