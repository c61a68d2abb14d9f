// Picture files of a data set: their size, and their bytes as a frame would bring them.
import { readFile } from 'node:fs/promises';
import sharp from 'sharp';
import { BitlaneError, messageOf } from '../errors.js';
import { decodeImage, type Picture as FramePicture } from '../vision/index.js';

/** EXIF orientations: 1 is upright, 5 to 8 lie on their side. */
const UPRIGHT = 1;
const LYING = 5;

const unreadable = (path: string, error: unknown): BitlaneError =>
  new BitlaneError('BAD_DATASET', `${path} cannot be read as a picture: ${messageOf(error)}`, {
    cause: error,
  });

/** Pixels of the upright picture. Throws `BAD_DATASET` when the file is no picture. */
export const pictureSize = async (path: string): Promise<{ width: number; height: number }> => {
  try {
    const { width, height, orientation } = await sharp(path).metadata();
    return (orientation ?? UPRIGHT) >= LYING ? { width: height, height: width } : { width, height };
  } catch (error) {
    throw unreadable(path, error);
  }
};

/**
 * A picture file as a camera would deliver it: a JPEG stays a JPEG, so that it is decoded as frames are; anything else, and
 * a JPEG that its EXIF tag turns (labels speak of what people saw), becomes pixels.
 * @throws BitlaneError `BAD_DATASET`
 */
export const readPicture = async (path: string): Promise<FramePicture> => {
  try {
    const bytes = await readFile(path);
    const { format, width, height, orientation = UPRIGHT, space, depth } = await sharp(bytes).metadata();
    const isFrame = format === 'jpeg' && (space === 'srgb' || space === 'b-w') && depth === 'uchar';
    if (orientation !== UPRIGHT) {
      return await decodeImage(await sharp(bytes).autoOrient().png({ compressionLevel: 0 }).toBuffer(), path);
    }
    return isFrame ? { format: 'jpeg', width, height, data: bytes } : await decodeImage(bytes, path);
  } catch (error) {
    throw unreadable(path, error);
  }
};
