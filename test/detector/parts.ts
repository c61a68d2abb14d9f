// Parts of the tests with real detector processes: tiny artifacts on disk, frames, waiting.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Test as Tap } from 'tap';
import { detectorSchema } from '../../src/config/index.js';
import { createGeneration, type FrameResult, type Generation } from '../../src/detector/index.js';
import { type Artifact, MANIFEST_FILE, MODEL_FILE } from '../../src/registry/index.js';
import { silentLog } from '../../src/system/index.js';
import { encodeJpeg, type Frame, type Picture, type RgbImage } from '../../src/vision/index.js';
import { tinyDetector, type TinyOptions } from '../helpers/tinyModel.js';

export const temporaryFolder = (t: Tap): string => {
  const folder = mkdtempSync(join(tmpdir(), 'bitlane-detector-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
};

/** A tiny model as an artifact in a folder of its own, named by its id. */
export const tinyArtifact = (folder: string, options: Partial<TinyOptions>): Artifact => {
  const tiny = tinyDetector({ head: 'yolov8', classes: ['car', 'bus', 'truck'], anchors: 16, ...options });
  const own = join(folder, tiny.id);
  mkdirSync(own, { recursive: true });
  const [modelPath, manifestPath] = [join(own, MODEL_FILE), join(own, MANIFEST_FILE)];
  writeFileSync(modelPath, tiny.bytes);
  writeFileSync(manifestPath, JSON.stringify(tiny.manifest));
  return { id: tiny.id, modelPath, manifestPath, manifest: tiny.manifest };
};

let generations = 0;

export const realGeneration = (artifact: Artifact, detector: Record<string, unknown> = {}): Generation =>
  createGeneration({
    number: (generations += 1),
    artifact,
    detector: detectorSchema.parse({ spinning: false, ...detector }),
    graceMs: 2_000,
    log: silentLog,
  });

export const image = (width: number, height: number, value = 90): RgbImage => ({
  format: 'rgb24',
  width,
  height,
  data: new Uint8Array(3 * width * height).fill(value),
});

export const jpegOf = (picture: RgbImage): Picture => ({
  ...picture,
  format: 'jpeg',
  data: encodeJpeg(picture, 80),
});

let seq = 0;
export const toFrame = (picture: Picture): Frame => ({
  ...picture,
  seq: seq++,
  receivedAtMs: performance.now(),
  wallMs: Date.now(),
});

/** What became of one frame. */
export type Answer =
  | { readonly type: 'result'; readonly result: FrameResult }
  | { readonly type: 'dropped'; readonly reason: string }
  | { readonly type: 'failed'; readonly message: string };

/** Gives the process a frame as soon as it wants one, and waits for its answer. */
export const show = (generation: Generation, picture: Picture): Promise<Answer> =>
  new Promise((resolve, reject) => {
    const finish = (answer: Answer): void => {
      generation.removeAll();
      resolve(answer);
    };
    generation
      .once('result', (result) => finish({ type: 'result', result }))
      .once('dropped', ({ reason }) => finish({ type: 'dropped', reason }))
      .once('failed', ({ message }) => finish({ type: 'failed', message }));
    const offer = (): void => {
      try {
        if (!generation.offer(toFrame(picture))) generation.once('want', offer);
      } catch (error) {
        generation.removeAll();
        reject(error instanceof Error ? error : new Error(String(error)));
      }
    };
    offer();
  });

export const isAlive = (pid: number | undefined): boolean => {
  try {
    return pid !== undefined && process.kill(pid, 0);
  } catch {
    return false;
  }
};
