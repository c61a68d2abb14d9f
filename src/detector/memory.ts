// The peak memory of a detector process that serves a model, as the kernel accounts it.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { configSchema } from '../config/index.js';
import {
  createManifest,
  MANIFEST_FILE,
  type Manifest,
  MODEL_FILE,
  readArtifactFolder,
} from '../registry/index.js';
import { silentLog } from '../system/index.js';
import { createGeneration } from './create.js';
import type { Generation } from './generation.js';

const FRAMES = 8;
const FRAME_MS = 60_000;
const [WIDTH, HEIGHT] = [1280, 720];
const GRACE_MS = 1_000;

/** Peak resident memory of a process (`VmHWM`), MB; `null` where the system does not say. */
export const peakMemoryMb = (pid: number): number | null => {
  try {
    const found = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
    return found === null ? null : Math.round(Number(found[1]) / 102.4) / 10;
  } catch {
    return null;
  }
};

/**
 * Serves `model` as the daemon would, shows it some grey 720p frames, and reads the peak of the process (`VmHWM`), MB. `null` where
 * the system does not say.
 *
 * @param like the manifest of the artifact that the model stands for
 * @throws BitlaneError `DETECTOR_FAILED` when it cannot be served
 */
export const detectorMemory = async (
  model: Uint8Array,
  like: Manifest,
  threads: number,
): Promise<number | null> => {
  const folder = mkdtempSync(join(tmpdir(), 'bitlane-memory-'));
  try {
    writeFileSync(join(folder, MODEL_FILE), model);
    const manifest = createManifest(model, { name: like.name, detector: like.detector });
    writeFileSync(join(folder, MANIFEST_FILE), JSON.stringify(manifest));
    const generation = createGeneration({
      number: 1,
      artifact: await readArtifactFolder(folder),
      detector: configSchema.shape.detector.parse({ threads }),
      graceMs: GRACE_MS,
      log: silentLog,
    });
    try {
      await generation.start();
      for (let seq = 1; seq <= FRAMES; seq++) await seen(generation, seq);
      return generation.pid === undefined ? null : peakMemoryMb(generation.pid);
    } finally {
      await generation.stop();
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
};

/** One frame, through to its result; also when it is dropped or the process ends, which the next read shows. */
const seen = (generation: Generation, seq: number): Promise<void> =>
  new Promise((resolve) => {
    const timer = setTimeout(resolve, FRAME_MS);
    const done = (): void => {
      clearTimeout(timer);
      generation.off('result', done);
      generation.off('dropped', done);
      generation.off('failed', done);
      resolve();
    };
    generation.on('result', done);
    generation.on('dropped', done);
    generation.on('failed', done);
    generation.offer({
      seq,
      format: 'yuv420',
      width: WIDTH,
      height: HEIGHT,
      data: new Uint8Array((WIDTH * HEIGHT * 3) / 2).fill(128),
      receivedAtMs: performance.now(),
      wallMs: Date.now(),
    });
  });
