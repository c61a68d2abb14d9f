// The simulated road as a camera: drawn by a process of its own, so that nothing waits for it.
import { fileURLToPath } from 'node:url';
import { type CameraConfigOf, type SceneOptions, sceneSchema } from '../../config/index.js';
import { type ChildPlan, runChild } from '../child-run.js';
import type { Driver } from '../driver.js';
import { jpegReader } from '../frame-reader.js';
import { childEnvironment } from '../programs.js';

const HOST = fileURLToPath(new URL('./scene-host.js', import.meta.url));

/** What the process is told, as JSON in its only argument. */
export interface SceneOrder {
  readonly options: SceneOptions;
  readonly firstFrame: number;
}

/** The part of a camera's configuration that describes its scene. */
export const sceneOptionsOf = (config: CameraConfigOf<'scene'>): SceneOptions => {
  const { kind: _, stallTimeoutMs: _s, restartInitialMs: _i, restartMaxMs: _m, ...options } = config;
  return sceneSchema.parse(options);
};

export const sceneDriver = (config: CameraConfigOf<'scene'>, environment: NodeJS.ProcessEnv): Driver => {
  const size = { width: config.width, height: config.height };
  const options = sceneOptionsOf(config);
  const isFast = config.pace === 'fast';
  let begunAtMs: number | undefined;
  let frames = 0;
  /** After a restart the scene goes on where it would be by now: a drift must not begin anew. */
  const firstFrame = (): number => {
    if (isFast) return frames;
    begunAtMs ??= performance.now();
    return Math.floor(((performance.now() - begunAtMs) * config.fps) / 1000);
  };
  const plan = (): Promise<ChildPlan> => {
    const order: SceneOrder = { options, firstFrame: firstFrame() };
    return Promise.resolve({
      name: 'the simulated road',
      command: process.execPath,
      args: [HOST, JSON.stringify(order)],
      environment: childEnvironment(environment),
      reader: jpegReader(size),
      everyFrame: isFast,
      finite: false,
    });
  };
  return {
    size,
    frameMs: 1000 / config.fps,
    start: (sink) =>
      runChild(plan, {
        ...sink,
        frame: (picture, atMs) => {
          frames += 1;
          sink.frame(picture, atMs);
        },
      }),
  };
};
