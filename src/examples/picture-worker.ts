// The picture thread: frames become masked JPEGs. Decoding and encoding would hold up the supervisor's event loop.
import { parentPort } from 'node:worker_threads';
import { messageOf } from '../errors.js';
import { cropImage, encodeJpeg, maskedRgb } from '../vision/index.js';
import type { PictureAnswer, PictureJob } from './picture-job.js';

const make = ({ id, picture, masks, regions, quality }: PictureJob): PictureAnswer => {
  try {
    const image = maskedRgb(picture, masks);
    return { id, jpegs: regions.map((region) => encodeJpeg(cropImage(image, region), quality)) };
  } catch (error) {
    return { id, message: messageOf(error) };
  }
};

parentPort?.on('message', (job: PictureJob) => parentPort?.postMessage(make(job)));
