// Width and height of a picture file, from its header.
import sharp from 'sharp';
import { BitlaneError, messageOf } from '../errors.js';

/** Pixels of the upright picture. Throws `BAD_DATASET` when the file is no picture. */
export const pictureSize = async (path: string): Promise<{ width: number; height: number }> => {
  try {
    const { width, height, orientation } = await sharp(path).metadata();
    // EXIF orientations 5 to 8 lie on their side.
    return (orientation ?? 1) >= 5 ? { width: height, height: width } : { width, height };
  } catch (error) {
    throw new BitlaneError('BAD_DATASET', `${path} cannot be read as a picture: ${messageOf(error)}`, {
      cause: error,
    });
  }
};
