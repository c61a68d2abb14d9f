// What rpicam-vid is asked for: options in its own names, every value checked against an allow-list.
import type { CameraConfigOf } from '../../config/index.js';
import { BitlaneError } from '../../errors.js';
import { FrameCutter } from '../frame-cutter.js';

/**
 * `--codec yuv420` writes the camera's buffers as they are, row padding included, and says nowhere how wide a row is. The
 * padding depends on board and release: rows are a multiple of 64 bytes up to the Pi 4 (raspberrypi/linux#4419, rpicam-apps
 * issues #151 and #857), of 32 or 128 on the Pi 5 (libpisp aligns chroma rows to 16 or 64 and doubles that). A multiple of 128
 * is never padded. So such a width is asked for, and where another is configured its middle columns are cut out.
 */
const UNPADDED = 128;

/** Width in pixels that is asked of the camera, so that no row is padded. */
export const streamWidth = (width: number): number => Math.ceil(width / UNPADDED) * UNPADDED;

export const cutterFor = (config: CameraConfigOf<'libcamera'>): FrameCutter =>
  new FrameCutter({ width: config.width, height: config.height }, streamWidth(config.width));

export type VideoOptions = Readonly<Record<string, string | true>>;

/** One of our driver's values reaches a shell (node-libcamera), so nothing that a shell reads gets past this. */
const ALLOWED = /^(-|[0-9]{1,5}(\.[0-9]{1,20})?|yuv420|tcp:\/\/127\.0\.0\.1:[0-9]{1,5})$/;

/** @throws BitlaneError `CAMERA_FAILED` naming the first option whose value is not allowed */
export const checkOptions = (options: VideoOptions): VideoOptions => {
  for (const [name, value] of Object.entries(options)) {
    if (!/^[a-z]{1,16}$/.test(name) || (value !== true && !ALLOWED.test(value))) {
      throw new BitlaneError(
        'CAMERA_FAILED',
        `the camera option ${JSON.stringify(name)} has a value that is not allowed`,
      );
    }
  }
  return options;
};

/** @param output `-` for stdout, or `tcp://127.0.0.1:PORT` */
export const videoOptions = (config: CameraConfigOf<'libcamera'>, output: string): VideoOptions =>
  checkOptions({
    camera: String(config.camera),
    codec: 'yuv420',
    timeout: '0',
    nopreview: true,
    width: String(streamWidth(config.width)),
    height: String(config.height),
    framerate: String(config.fps),
    ...(config.rotation === 0 ? {} : { rotation: String(config.rotation) }),
    ...(config.hflip ? { hflip: true } : {}),
    ...(config.vflip ? { vflip: true } : {}),
    // Without it the end of every frame waits in a buffer of the C library for the next one.
    flush: true,
    output,
  });

export const videoArguments = (options: VideoOptions): string[] =>
  Object.entries(options).flatMap(([name, value]) => (value === true ? [`--${name}`] : [`--${name}`, value]));

/**
 * libcamera changes a size that a camera cannot deliver and goes on; the stream would be cut at the wrong places. It does say
 * so: `configuring streams: (0) 1296x972-YUV420/sYCC`.
 */
export const judgeSize =
  (config: CameraConfigOf<'libcamera'>) =>
  (line: string): string | undefined => {
    const match = /configuring streams: \(0\) ([0-9]{1,5})x([0-9]{1,5})\b/.exec(line);
    if (match === null) return undefined;
    const [wanted, got] = [`${streamWidth(config.width)}x${config.height}`, `${match[1]}x${match[2]}`];
    return wanted === got
      ? undefined
      : `the camera delivers ${got} where ${wanted} was asked for: choose a size that it has`;
  };
