// The process behind a simulated camera: JPEGs on stdout, at the scene's pace. Ends when nobody reads any more.
import { setTimeout as delay } from 'node:timers/promises';
import { sceneSchema } from '../../config/index.js';
import { messageOf } from '../../errors.js';
import { Scene } from '../../scene/index.js';
import type { SceneOrder } from './scene.js';

/** This far behind (the device slept) the clock starts anew instead of catching up. */
const LOST_MS = 5_000;

const write = (data: Uint8Array): Promise<void> =>
  new Promise((resolve, reject) => {
    process.stdout.write(data, (error) => (error ? reject(error) : resolve()));
  });

const run = async (): Promise<never> => {
  const order = JSON.parse(process.argv[2] ?? '') as SceneOrder;
  const options = sceneSchema.parse(order.options);
  const scene = new Scene(options, order.firstFrame);
  const frameMs = 1000 / options.fps;
  let dueMs = performance.now();
  for (;;) {
    await write(scene.encode(scene.next()));
    if (options.pace === 'fast') continue;
    dueMs += frameMs;
    const lateMs = performance.now() - dueMs;
    if (lateMs > LOST_MS) dueMs = performance.now();
    else if (lateMs > frameMs) {
      // The road goes on while a slow device draws: frames whose time is over are not drawn.
      const missed = Math.floor(lateMs / frameMs);
      scene.skip(missed);
      dueMs += missed * frameMs;
    }
    await delay(Math.max(0, dueMs - performance.now()));
  }
};

// A closed pipe is how the camera is told to end.
process.stdout.on('error', () => process.exit(0));
run().catch((error: unknown) => {
  process.stderr.write(`${messageOf(error)}\n`);
  process.exitCode = 1;
});
