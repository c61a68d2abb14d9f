// The sampling plan of one frame size: which source pixels make an output pixel, and which numbers they become.
import type { InputSpec } from '../registry/index.js';
import type { InputData } from './input.js';
import { type LetterboxTransform, letterboxTransform, type Placement, placeFrame } from './letterbox.js';
import type { YuvColour } from './types.js';

/** Weights are multiples of 1/2048, as in OpenCV. */
export const WEIGHT_ONE = 2048;

/** Bilinear sampling along one axis: output `i` mixes source `low[i]` and the next one, by `weight[i]` / 2048 of the next. */
export interface Axis {
  readonly low: Int32Array;
  readonly weight: Int32Array;
  /** Samples in the source. */
  readonly length: number;
}

/**
 * Half-pixel centres, not antialiased, clamped at the borders: OpenCV's INTER_LINEAR.
 * @param step source samples per output sample
 */
export const sampleAxis = (length: number, outputs: number, step: number): Axis => {
  const low = new Int32Array(outputs);
  const weight = new Int32Array(outputs);
  for (let i = 0; i < outputs; i += 1) {
    const position = Math.min(Math.max((i + 0.5) * step - 0.5, 0), length - 1);
    const floor = Math.floor(position);
    low[i] = floor;
    weight[i] = floor === length - 1 ? 0 : Math.round((position - floor) * WEIGHT_ONE);
  }
  return { low, weight, length };
};

/** Linear map from Y, U, V (0..255) to R, G, B (0..255, to be clamped). */
export interface YuvMatrix {
  readonly y: number;
  readonly rv: number;
  readonly gu: number;
  readonly gv: number;
  readonly bu: number;
  readonly r0: number;
  readonly g0: number;
  readonly b0: number;
}

/** ITU-R BT.601 and BT.709; `limited` holds luma in 16..235 and chroma in 16..240. */
export const yuvMatrix = (colour: YuvColour): YuvMatrix => {
  const [kr, kb] = colour.startsWith('bt601') ? [0.299, 0.114] : [0.2126, 0.0722];
  const kg = 1 - kr - kb;
  const limited = colour.endsWith('limited');
  const y = limited ? 255 / 219 : 1;
  const c = limited ? 255 / 224 : 1;
  const rv = 2 * (1 - kr) * c;
  const bu = 2 * (1 - kb) * c;
  const gu = -(bu * kb) / kg;
  const gv = -(rv * kr) / kg;
  const black = limited ? -16 * y : 0;
  return { y, rv, gu, gv, bu, r0: black - 128 * rv, g0: black - 128 * (gu + gv), b0: black - 128 * bu };
};

/** One output plane: where it lies in the tensor, and tensor = pixel * scale + bias. */
export interface Channel {
  /** Of the tensor's first element of this plane. */
  readonly start: number;
  readonly scale: number;
  readonly bias: number;
  /** Value of the padding. */
  readonly pad: number;
}

/** Everything about a source that does not change from frame to frame. */
export interface Plan {
  readonly input: InputSpec;
  readonly placement: Placement;
  readonly transform: LetterboxTransform;
  readonly columns: Axis;
  readonly rows: Axis;
  readonly red: Channel;
  readonly green: Channel;
  readonly blue: Channel;
  /** Bytes of the picture: interleaved RGB, or planes Y, U, V. */
  readonly sourceBytes: number;
  /** Bytes of a row of RGB or of luma. */
  readonly rowBytes: number;
  readonly yuv:
    | undefined
    | {
        readonly columns: Axis;
        readonly rows: Axis;
        readonly matrix: YuvMatrix;
        /** Bytes of a chroma row, of the luma plane, of one chroma plane. */
        readonly rowBytes: number;
        readonly lumaBytes: number;
        readonly chromaBytes: number;
      };
}

/** Bytes of an I420 picture; odd sides have chroma for the last half pair. */
export const yuv420Bytes = (width: number, height: number): number =>
  width * height + 2 * ((width + 1) >> 1) * ((height + 1) >> 1);

/** The plan for pictures of `width` x `height`; `colour` for planar YUV, `undefined` for RGB. */
export const makePlan = (
  input: InputSpec,
  width: number,
  height: number,
  colour: YuvColour | undefined,
): Plan => {
  const placement = placeFrame(input, width, height);
  const stepX = width / placement.width;
  const stepY = height / placement.height;
  const channel = (rgbIndex: 0 | 1 | 2): Channel => {
    const index = input.colourOrder === 'rgb' ? rgbIndex : ((2 - rgbIndex) as 0 | 1 | 2);
    const [mean, scale] = [input.mean[index], input.scale[index]];
    return {
      start: index * input.width * input.height,
      scale,
      bias: -mean * scale,
      pad: (input.pad - mean) * scale,
    };
  };
  const [chromaWidth, chromaHeight] = [(width + 1) >> 1, (height + 1) >> 1];
  return {
    input,
    placement,
    transform: letterboxTransform(placement, width, height),
    columns: sampleAxis(width, placement.width, stepX),
    rows: sampleAxis(height, placement.height, stepY),
    red: channel(0),
    green: channel(1),
    blue: channel(2),
    sourceBytes: colour === undefined ? 3 * width * height : yuv420Bytes(width, height),
    rowBytes: colour === undefined ? 3 * width : width,
    yuv:
      colour === undefined
        ? undefined
        : {
            // A chroma sample covers two luma samples and sits between them.
            columns: sampleAxis(chromaWidth, placement.width, stepX / 2),
            rows: sampleAxis(chromaHeight, placement.height, stepY / 2),
            matrix: yuvMatrix(colour),
            rowBytes: chromaWidth,
            lumaBytes: width * height,
            chromaBytes: chromaWidth * chromaHeight,
          },
  };
};

/** Whether the source's bytes are the input's as they are, row by row. */
const isCopied = ({ input, placement, yuv, columns, rows }: Plan): boolean =>
  yuv === undefined &&
  input.colourOrder === 'rgb' &&
  columns.length === placement.width &&
  rows.length === placement.height;

/**
 * Puts a source picture that needs no sampling into its place.
 * @returns false where it does
 */
export const copyPixels = (plan: Plan, source: Uint8Array, tensor: InputData): boolean => {
  if (!(tensor instanceof Uint8Array) || !isCopied(plan)) return false;
  const { input, placement, rowBytes } = plan;
  for (let row = 0; row < placement.height; row += 1) {
    const from = row * rowBytes;
    tensor.set(
      source.subarray(from, from + rowBytes),
      3 * ((placement.top + row) * input.width + placement.left),
    );
  }
  return true;
};

/** Fills what the picture does not cover. */
export const fillPadding = (plan: Plan, tensor: InputData): void => {
  const { input, placement } = plan;
  if (placement.width === input.width && placement.height === input.height) return;
  if (tensor instanceof Uint8Array) {
    tensor.fill(input.pad);
    return;
  }
  const size = input.width * input.height;
  for (const { start, pad } of [plan.red, plan.green, plan.blue]) tensor.fill(pad, start, start + size);
};
