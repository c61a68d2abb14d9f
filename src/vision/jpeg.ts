// JPEG through libjpeg-turbo: checked before it is decoded, because the binding trusts what it is given.
import type * as JpegTurbo from '@julusian/jpeg-turbo';
import { createRequire } from 'node:module';
import { BitlaneError, messageOf } from '../errors.js';
import { type JpegSize, readJpegSize } from './jpegHeader.js';
import type { RgbImage } from './types.js';

/** Pixels of the largest picture that is decoded or encoded here: 8192 x 8192. */
export const MAX_PIXELS = 2 ** 26;
/** Each scan of a progressive JPEG costs as much as a picture: more than this is an attack. */
const MAX_SCANS = 64;

let library: typeof JpegTurbo | undefined;

/** Loaded on first use: a device without the native library still starts, and `doctor` can say what is missing. */
const jpegTurbo = (): typeof JpegTurbo => {
  if (library === undefined) {
    try {
      library = createRequire(import.meta.url)('@julusian/jpeg-turbo') as typeof JpegTurbo;
    } catch (error) {
      throw new BitlaneError(
        'UNSUPPORTED',
        `JPEG frames need @julusian/jpeg-turbo, which does not load on this device: ${messageOf(error)}`,
        { cause: error },
      );
    }
  }
  return library;
};

const SOS = 0xda;

/** Whether there are more scans than any encoder writes. */
const hasTooManyScans = (bytes: Uint8Array): boolean => {
  let scans = 0;
  for (let offset = bytes.indexOf(0xff); offset >= 0; offset = bytes.indexOf(0xff, offset + 1)) {
    if (bytes[offset + 1] === SOS) scans += 1;
  }
  return scans > MAX_SCANS;
};

const refuse = (why: string, cause?: unknown): never => {
  throw new BitlaneError('BAD_FRAME', `the JPEG ${why}`, cause === undefined ? {} : { cause });
};

/** Size of a JPEG that can be decoded here, or why it cannot. The header check is strict enough to stand for the library's. */
const readSize = (bytes: Uint8Array): JpegSize | string => {
  const size = readJpegSize(bytes);
  if ('fault' in size) return size.reason;
  const { width, height, components } = size;
  if (components !== 1 && components !== 3) {
    return `has ${components} components: only grey (1) and colour (3) are decoded`;
  }
  if (width * height > MAX_PIXELS) return `has ${width}x${height} pixels, more than ${MAX_PIXELS} in all`;
  if (hasTooManyScans(bytes)) return `has more than ${MAX_SCANS} scans`;
  return size;
};

/** True where {@link decodeJpeg} would try: a whole JPEG in grey or colour, 8 bits a sample, of a sensible size. */
export const isPlainJpeg = (bytes: Uint8Array): boolean => typeof readSize(bytes) !== 'string';

/**
 * Decodes a JPEG into `target` as interleaved RGB.
 * @param size what {@link checkJpeg} found in the same bytes
 * @param target at least 3 * width * height bytes
 * @throws BAD_FRAME where the bytes are damaged or cut short
 */
export const decodeJpegInto = (bytes: Uint8Array, size: JpegSize, target: Uint8Array<ArrayBuffer>): void =>
  decodeChecked(bytes, size, target);

/**
 * Checks that `bytes` are a whole JPEG of `width` x `height` pixels, without decoding: before room is made for it.
 * @throws BAD_FRAME where they are not
 */
export const checkJpeg = (bytes: Uint8Array, width: number, height: number): JpegSize => {
  const size = readSize(bytes);
  if (typeof size === 'string') return refuse(size);
  if (size.width !== width || size.height !== height) {
    refuse(`has ${size.width}x${size.height} pixels where the frame has ${width}x${height}`);
  }
  return size;
};

/** `size` must come from {@link readSize}: the library crashes where it finds more pixels than there is room for. */
const decodeChecked = (bytes: Uint8Array, size: JpegSize, target: Uint8Array<ArrayBuffer>): void => {
  const length = 3 * size.width * size.height;
  if (target.length < length)
    throw new BitlaneError('INTERNAL', `a picture of ${length} bytes needs more room`);
  const turbo = jpegTurbo();
  try {
    turbo.decompressSync(asBuffer(bytes), Buffer.from(target.buffer, target.byteOffset, length), {
      format: turbo.FORMAT_RGB,
    });
  } catch (error) {
    // The library's own text is "No error" for a picture that is cut short.
    refuse('is damaged or cut short', error);
  }
};

const asBuffer = (bytes: Uint8Array): Buffer =>
  Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/**
 * Decodes a JPEG.
 * @throws BAD_FRAME where the bytes are no plain JPEG (see {@link isPlainJpeg}), or are damaged or cut short
 */
export const decodeJpeg = (bytes: Uint8Array): RgbImage => {
  const size = readSize(bytes);
  if (typeof size === 'string') return refuse(size);
  const { width, height } = size;
  const data = new Uint8Array(3 * width * height);
  decodeChecked(bytes, size, data);
  return { format: 'rgb24', width, height, data };
};

/**
 * Encodes a picture as baseline JPEG with halved chroma.
 * @param quality 1..100
 */
export const encodeJpeg = (image: RgbImage, quality: number): Uint8Array => {
  const { width, height, data } = image;
  if (!Number.isInteger(quality) || quality < 1 || quality > 100) {
    throw new BitlaneError('BAD_USAGE', `a JPEG quality is a whole number from 1 to 100, not ${quality}`);
  }
  if (
    !Number.isInteger(width) ||
    !Number.isInteger(height) ||
    width < 1 ||
    height < 1 ||
    Math.max(width, height) > 65500 ||
    width * height > MAX_PIXELS ||
    data.length !== 3 * width * height
  ) {
    throw new BitlaneError(
      'BAD_FRAME',
      `${data.length} bytes are no RGB picture of ${width} x ${height} pixels`,
    );
  }
  const turbo = jpegTurbo();
  const encoded = turbo.compressSync(asBuffer(data), {
    format: turbo.FORMAT_RGB,
    width,
    height,
    subsampling: turbo.SAMP_420,
    quality,
  });
  // The library's buffer has room for the worst case: keep only what was written.
  return Uint8Array.from(encoded);
};
