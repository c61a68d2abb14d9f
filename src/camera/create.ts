// From a configuration to the source that it means.
import type { CameraConfig } from '../config/index.js';
import type { Log } from '../system/index.js';
import type { Driver } from './driver.js';
import { ffmpegDriver } from './drivers/ffmpeg.js';
import { streamWidth } from './drivers/libcamera-options.js';
import { nodeLibcameraDriver } from './drivers/node-libcamera.js';
import { replayDriver } from './drivers/replay.js';
import { rpicamVidDriver } from './drivers/rpicam-vid.js';
import { sceneDriver } from './drivers/scene.js';
import type { FrameSource } from './source.js';
import { SupervisedSource } from './supervisor.js';

const driverOf = (config: CameraConfig, log: Log, environment: NodeJS.ProcessEnv): Driver => {
  switch (config.kind) {
    case 'libcamera': {
      const asked = streamWidth(config.width);
      if (asked !== config.width) {
        log.info(
          `camera.width ${config.width} is cut out of the middle of ${asked} columns: a multiple of 128 shows the whole view`,
        );
      }
      return config.driver === 'node-libcamera'
        ? nodeLibcameraDriver(config, environment)
        : rpicamVidDriver(config, environment);
    }
    case 'ffmpeg':
      return ffmpegDriver(config, environment);
    case 'replay':
      return replayDriver(config);
    case 'scene':
      return sceneDriver(config, environment);
  }
};

/**
 * The source for a checked configuration. It does nothing before its `start()`, and never throws.
 *
 * @param options.environment where programs are looked for and what they see; the environment of this process when left out
 */
export const createFrameSource = (
  config: CameraConfig,
  options: { readonly log: Log; readonly environment?: NodeJS.ProcessEnv },
): FrameSource => {
  const log = options.log.child('camera');
  return new SupervisedSource(driverOf(config, log, options.environment ?? process.env), config, log);
};
