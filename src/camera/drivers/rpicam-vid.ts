// A Raspberry Pi camera through rpicam-vid: raw frames from its stdout.
import type { CameraConfigOf } from '../../config/index.js';
import { BitlaneError } from '../../errors.js';
import { type ChildPlan, runChild } from '../child-run.js';
import type { Driver } from '../driver.js';
import { yuvReader } from '../frame-reader.js';
import { childEnvironment, findProgram } from '../programs.js';
import { cutterFor, judgeSize, videoArguments, videoOptions } from './libcamera-options.js';

/** Its name now, and the one that it had before 2024. */
const PROGRAMS = ['rpicam-vid', 'libcamera-vid'] as const;

/** @throws BitlaneError `CAMERA_FAILED` where it is not installed */
export const findVideoProgram = async (environment: NodeJS.ProcessEnv): Promise<string> => {
  const path = await findProgram(PROGRAMS, environment);
  if (path === undefined) {
    throw new BitlaneError('CAMERA_FAILED', 'rpicam-vid is not on the PATH: install rpicam-apps');
  }
  return path;
};

export const rpicamVidDriver = (
  config: CameraConfigOf<'libcamera'>,
  environment: NodeJS.ProcessEnv,
): Driver => {
  const plan = async (): Promise<ChildPlan> => ({
    name: 'rpicam-vid',
    command: await findVideoProgram(environment),
    args: videoArguments(videoOptions(config, '-')),
    environment: childEnvironment(environment),
    // It asks libcamera for sYCC when the codec is yuv420: BT.601, full range.
    reader: yuvReader(cutterFor(config), 'bt601-full'),
    everyFrame: false,
    judgeLine: judgeSize(config),
    finite: false,
  });
  return {
    size: { width: config.width, height: config.height },
    frameMs: 1000 / config.fps,
    start: (sink) => runChild(plan, sink),
  };
};
