// A thread that makes one snapshot and ends: decoding and encoding would hold up the supervisor's event loop.
import { parentPort, workerData } from 'node:worker_threads';
import sharp from 'sharp';
import { messageOf } from '../errors.js';
import { maskedRgb } from '../vision/index.js';
import type { SnapshotAnswer, SnapshotJob } from './snapshot.js';

const { picture, masks, width, quality } = workerData as SnapshotJob;

const make = async (): Promise<SnapshotAnswer> => {
  try {
    const image = maskedRgb(picture, masks);
    const { data, info } = await sharp(image.data, {
      raw: { width: image.width, height: image.height, channels: 3 },
    })
      .resize({ width: Math.min(width, image.width) })
      .jpeg({ quality })
      .toBuffer({ resolveWithObject: true });
    return { ok: true, jpeg: data, width: info.width, height: info.height };
  } catch (error) {
    return { ok: false, message: messageOf(error) };
  }
};

parentPort?.postMessage(await make());
