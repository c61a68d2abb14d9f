// Pictures as they come: checked, decoded to RGB, read from files.
import { readFile } from 'node:fs/promises';
import { BitlaneError, messageOf } from '../errors.js';
import { decodeJpeg, isPlainJpeg, MAX_PIXELS } from './jpeg.js';
import { yuv420Bytes, yuvMatrix } from './plan.js';
import type { Picture, RgbImage } from './types.js';

/** @throws BAD_FRAME where no frame can have this size */
export const checkPictureSize = ({ width, height }: Pick<Picture, 'width' | 'height'>): void => {
  if (
    !Number.isInteger(width) ||
    !Number.isInteger(height) ||
    width < 1 ||
    height < 1 ||
    width * height > MAX_PIXELS
  ) {
    throw new BitlaneError('BAD_FRAME', `a frame cannot have ${width} x ${height} pixels`);
  }
};

/**
 * Checks size and number of bytes (of a JPEG: only that there are some).
 * @throws BAD_FRAME
 */
export const checkPicture = (picture: Picture): void => {
  const { format, width, height, data } = picture;
  checkPictureSize(picture);
  const expected =
    format === 'rgb24'
      ? 3 * width * height
      : format === 'yuv420'
        ? yuv420Bytes(width, height)
        : Math.max(1, data.length);
  if (data.length !== expected) {
    throw new BitlaneError(
      'BAD_FRAME',
      `a ${format} frame of ${width} x ${height} pixels has ${expected} bytes, not ${data.length}`,
    );
  }
};

/**
 * A frame as RGB, at full size. For snapshots and stored examples: a detector never needs it.
 * @throws BAD_FRAME where the frame's bytes are not what it says they are
 */
export const frameToRgb = (frame: Picture): RgbImage => {
  checkPicture(frame);
  const { format, width, height, data } = frame;
  switch (format) {
    case 'rgb24':
      return { format, width, height, data };
    case 'jpeg': {
      const image = decodeJpeg(data);
      if (image.width === width && image.height === height) return image;
      throw new BitlaneError(
        'BAD_FRAME',
        `the JPEG has ${image.width} x ${image.height} pixels where the frame has ${width} x ${height}`,
      );
    }
    case 'yuv420':
      return yuvToRgb(frame);
  }
};

const yuvToRgb = ({ width, height, data, colour }: Picture): RgbImage => {
  const m = yuvMatrix(colour ?? 'bt601-full');
  const rgb = new Uint8ClampedArray(3 * width * height);
  const chromaRow = (width + 1) >> 1;
  const u0 = width * height;
  const v0 = u0 + chromaRow * ((height + 1) >> 1);
  let out = 0;
  for (let row = 0; row < height; row += 1) {
    const chroma = (row >> 1) * chromaRow;
    for (let column = 0; column < width; column += 1, out += 3) {
      const y = (data[row * width + column] ?? 0) * m.y;
      const u = data[u0 + chroma + (column >> 1)] ?? 0;
      const v = data[v0 + chroma + (column >> 1)] ?? 0;
      rgb[out] = y + v * m.rv + m.r0;
      rgb[out + 1] = y + u * m.gu + v * m.gv + m.g0;
      rgb[out + 2] = y + u * m.bu + m.b0;
    }
  }
  return { format: 'rgb24', width, height, data: new Uint8Array(rgb.buffer) };
};

/**
 * Decodes the bytes of a picture file: plain JPEGs as frames are decoded, everything else (PNG, WebP, CMYK JPEG, ...) through
 * sharp. Transparency goes to black; orientation tags are not applied, because labels refer to the stored pixels.
 * @param name what an error calls the picture
 * @throws BAD_FRAME where the bytes are no picture, damaged or larger than 2^26 pixels
 */
export const decodeImage = async (bytes: Uint8Array, name: string): Promise<RgbImage> => {
  try {
    if (isPlainJpeg(bytes)) return decodeJpeg(bytes);
  } catch (error) {
    throw new BitlaneError('BAD_FRAME', `${name}: ${messageOf(error)}`, { cause: error });
  }
  const { default: sharp } = await import('sharp');
  try {
    const { data, info } = await sharp(bytes, { limitInputPixels: MAX_PIXELS, failOn: 'warning' })
      .toColourspace('srgb')
      .flatten({ background: '#000' })
      .removeAlpha()
      .raw({ depth: 'uchar' })
      .toBuffer({ resolveWithObject: true });
    const { width, height, channels } = info;
    if (channels !== 3 || data.length !== 3 * width * height) throw new Error('it has no three channels');
    return { format: 'rgb24', width, height, data };
  } catch (error) {
    throw new BitlaneError('BAD_FRAME', `${name} is not a picture that can be read: ${messageOf(error)}`, {
      cause: error,
    });
  }
};

/**
 * Decodes a picture file.
 * @throws BAD_FRAME where it is missing, no picture, damaged or larger than 2^26 pixels
 */
export const decodeImageFile = async (path: string): Promise<RgbImage> => {
  let bytes: Uint8Array;
  try {
    bytes = await readFile(path);
  } catch (error) {
    throw new BitlaneError('BAD_FRAME', `${path} cannot be read: ${messageOf(error)}`, { cause: error });
  }
  return decodeImage(bytes, path);
};
