// A snapshot of the road: the newest frame, masked, scaled, as a JPEG.
import { Worker } from 'node:worker_threads';
import { BitlaneError } from '../errors.js';
import type { MaskPolygon, Picture } from '../vision/index.js';

export interface SnapshotJob {
  readonly picture: Picture;
  readonly masks: readonly MaskPolygon[];
  /** Pixels; a smaller picture stays as it is. */
  readonly width: number;
  readonly quality: number;
}

export interface Snapshot {
  readonly jpeg: Uint8Array;
  readonly width: number;
  readonly height: number;
}

export type SnapshotAnswer =
  ({ readonly ok: true } & Snapshot) | { readonly ok: false; readonly message: string };

const DEADLINE_MS = 10_000;

/**
 * Makes a snapshot in a thread of its own.
 *
 * @throws BitlaneError `BAD_FRAME` when the picture cannot be decoded, `TIMEOUT`
 */
export const makeSnapshot = async (job: SnapshotJob): Promise<Snapshot> => {
  const worker = new Worker(new URL('./snapshot-worker.js', import.meta.url), { workerData: job });
  let timer: NodeJS.Timeout | undefined;
  try {
    const answer = await new Promise<SnapshotAnswer>((resolve, reject) => {
      timer = setTimeout(
        () => reject(new BitlaneError('TIMEOUT', `the snapshot was not done after ${DEADLINE_MS / 1000} s`)),
        DEADLINE_MS,
      );
      worker.once('message', (message: SnapshotAnswer) => resolve(message));
      worker.once('error', reject);
      worker.once('exit', () => reject(new BitlaneError('INTERNAL', 'the snapshot thread said nothing')));
    });
    if (!answer.ok)
      throw new BitlaneError('BAD_FRAME', `the newest frame gives no snapshot: ${answer.message}`);
    return answer;
  } finally {
    clearTimeout(timer);
    await worker.terminate();
  }
};
