// Network cameras, V4L2 devices and video files through ffmpeg.
import { readFile } from 'node:fs/promises';
import type { CameraConfigOf } from '../../config/index.js';
import { BitlaneError } from '../../errors.js';
import { type ChildPlan, runChild } from '../child-run.js';
import type { Driver } from '../driver.js';
import { FrameCutter } from '../frame-cutter.js';
import { yuvReader } from '../frame-reader.js';
import { childEnvironment, findProgram } from '../programs.js';
import { ffmpegArguments, inputOf } from './ffmpeg-arguments.js';

/** Read anew for every run, so that a changed password needs a restart of the camera at most. */
const readPassword = async (path: string): Promise<string> => {
  try {
    const text = await readFile(path, 'utf8');
    return text.split(/\r?\n/)[0] ?? '';
  } catch (error) {
    throw new BitlaneError('CAMERA_FAILED', `the camera's password file ${path} cannot be read`, {
      cause: error,
    });
  }
};

/**
 * The password of a network camera stands in ffmpeg's address argument, because ffmpeg takes it nowhere else: other users of
 * the device can see it with `ps` while the camera runs, unless /proc is mounted with `hidepid`. It is in no log and no message.
 */
export const ffmpegDriver = (config: CameraConfigOf<'ffmpeg'>, environment: NodeJS.ProcessEnv): Driver => {
  const size = { width: config.width, height: config.height };
  const plan = async (): Promise<ChildPlan> => {
    const kind = inputOf(config.input);
    const command = await findProgram(['ffmpeg'], environment);
    if (command === undefined) {
      throw new BitlaneError('CAMERA_FAILED', 'ffmpeg is not on the PATH: install ffmpeg');
    }
    const password = config.passwordFile === undefined ? undefined : await readPassword(config.passwordFile);
    return {
      name: 'ffmpeg',
      command,
      args: ffmpegArguments(config, password),
      environment: childEnvironment(environment),
      reader: yuvReader(new FrameCutter(size), 'bt601-full'),
      everyFrame: kind === 'file' && config.pace === 'fast',
      secrets: password === undefined ? [] : [password, encodeURIComponent(password)],
      finite: kind === 'file' && !config.loop,
    };
  };
  return {
    size,
    frameMs: config.fps === undefined ? undefined : 1000 / config.fps,
    start: (sink) => runChild(plan, sink),
  };
};
