// What a JPEG says about itself: a walk over its markers, without decoding.

export interface JpegSize {
  /** Pixels, 1..65535. */
  readonly width: number;
  readonly height: number;
  /** 1 = grey, 3 = colour, 4 = CMYK. */
  readonly components: number;
}

/** `torn`: it stops before its end. `malformed`: what is there is not a JPEG that can be decoded. */
export interface JpegFault {
  readonly fault: 'torn' | 'malformed';
  /** Completes the sentence "the picture ...". */
  readonly reason: string;
}

const torn = (reason: string): JpegFault => ({ fault: 'torn', reason });
const malformed = (reason: string): JpegFault => ({ fault: 'malformed', reason });

const SOI = 0xd8;
const EOI = 0xd9;
const SOS = 0xda;
/** Baseline, extended and progressive frames, Huffman or arithmetic: what libjpeg-turbo decodes. */
const DECODABLE: ReadonlySet<number> = new Set([0xc0, 0xc1, 0xc2, 0xc9, 0xca]);

/** SOF0..SOF15, less the three codes in that range that are other segments (DHT, JPG, DAC). */
const isFrameHeader = (marker: number): boolean =>
  marker >= 0xc0 && marker <= 0xcf && marker !== 0xc4 && marker !== 0xc8 && marker !== 0xcc;

/** Markers without a length: TEM and the restart markers. */
export const isStandalone = (marker: number): boolean =>
  marker === 0x01 || (marker >= 0xd0 && marker <= 0xd7);

// Entropy-coded data never holds FF D9, so looking from the back finds the end even where a camera pads its pictures.
const hasEnd = (bytes: Uint8Array, from: number): boolean => {
  for (let at = bytes.length - 2; at >= from; at -= 1) {
    if (bytes[at + 1] === EOI && bytes[at] === 0xff) return true;
  }
  return false;
};

const readFrameHeader = (bytes: Uint8Array, at: number, length: number): JpegSize | JpegFault => {
  if (length < 8) return malformed('has a frame header that is too short');
  const [precision = 0, h1 = 0, h0 = 0, w1 = 0, w0 = 0, components = 0] = bytes.subarray(at + 2, at + 8);
  const width = w1 * 256 + w0;
  const height = h1 * 256 + h0;
  if (precision !== 8) return malformed(`has ${precision} bits a sample where 8 are read`);
  if (width === 0 || height === 0) return malformed(`says that it is ${width}x${height} pixels`);
  if (components < 1 || components > 4 || length < 8 + 3 * components) {
    return malformed(`has a frame header that does not fit ${components} components`);
  }
  return { width, height, components };
};

/**
 * Checks a picture at the door: start marker, well-formed segments up to the first scan, one frame header, end marker.
 * Reads a few dozen bytes of a good picture; never reads out of bounds, never throws.
 *
 * @returns its size in pixels, or why it must be dropped
 */
export const readJpegSize = (bytes: Uint8Array): JpegSize | JpegFault => {
  const total = bytes.length;
  if (total < 4) return torn(`has ${total} bytes`);
  if (bytes[0] !== 0xff || bytes[1] !== SOI) return malformed('does not start like a JPEG');
  let size: JpegSize | undefined;
  let at = 2;
  for (;;) {
    if (at >= total) return torn('stops before its first scan');
    if (bytes[at] !== 0xff) return malformed('has a byte where a marker should be');
    while (bytes[at] === 0xff) at += 1;
    const marker = bytes[at];
    at += 1;
    if (marker === undefined) return torn('stops before its first scan');
    if (isStandalone(marker)) continue;
    if (marker === 0 || marker === SOI) return malformed('has a marker where none may be');
    if (marker === EOI) return malformed('ends before its first scan');
    const [high, low] = [bytes[at], bytes[at + 1]];
    if (high === undefined || low === undefined) return torn('stops before its first scan');
    const length = high * 256 + low;
    if (length < 2) return malformed('has a segment of impossible length');
    if (at + length > total) return torn('stops before its first scan');
    if (marker === SOS) {
      if (size === undefined) return malformed('has a scan before its frame header');
      return hasEnd(bytes, at + length) ? size : torn('has no end marker');
    }
    if (isFrameHeader(marker)) {
      if (size !== undefined) return malformed('has two frame headers');
      if (!DECODABLE.has(marker)) return malformed('uses a JPEG process that cannot be decoded');
      const read = readFrameHeader(bytes, at, length);
      if ('fault' in read) return read;
      size = read;
    }
    at += length;
  }
};
