// Draws pictures into a model's input tensor: scaled, moved, cut off, mirrored, recoloured.
import type { InputSpec } from '../../registry/index.js';
import type { Box, RgbImage } from '../../vision/index.js';
import type { ColourMatrix } from './colour.js';

/** How a picture lies in the input: `input = picture * scale + offset`, then mirrored where asked. */
export interface Lie {
  readonly scaleX: number;
  readonly scaleY: number;
  readonly offsetX: number;
  readonly offsetY: number;
  /** The part of the input that it may cover, before mirroring. */
  readonly clip: Box;
  /** Left and right of the whole input change places. */
  readonly mirrored: boolean;
  /** `undefined` leaves colours alone. */
  readonly colour: ColourMatrix | undefined;
}

/** Where samples of an axis come from: output pixel `first + i` mixes `low[i]` and `high[i]`. */
interface Axis {
  readonly first: number;
  readonly low: Int32Array;
  readonly high: Int32Array;
  /** Share of `high`. */
  readonly mix: Float32Array;
}

/** Half-pixel centres, as the detector samples. */
const axisOf = (size: number, scale: number, offset: number, from: number, to: number): Axis => {
  const [start, end] = [Math.max(from, offset), Math.min(to, offset + size * scale)];
  const first = Math.max(0, Math.ceil(start - 0.5 - 1e-6));
  const count = Math.max(0, Math.ceil(end - 0.5 - 1e-6) - first);
  const [low, high, mix] = [new Int32Array(count), new Int32Array(count), new Float32Array(count)];
  for (let i = 0; i < count; i += 1) {
    const at = Math.min(Math.max((first + i + 0.5 - offset) / scale - 0.5, 0), size - 1);
    low[i] = Math.floor(at);
    high[i] = Math.min(size - 1, Math.floor(at) + 1);
    mix[i] = at - Math.floor(at);
  }
  return { first, low, high, mix };
};

/** Half the sides, each pixel the mean of four: what is shrunk a lot would flicker otherwise. */
export const halved = ({ width, height, data }: RgbImage): RgbImage => {
  const [w, h] = [width >> 1, height >> 1];
  const result = new Uint8Array(3 * w * h);
  const row = 3 * width;
  for (let y = 0, out = 0; y < h; y += 1) {
    for (let x = 0, at = 2 * y * row; x < w; x += 1, at += 6) {
      for (let c = 0; c < 3; c += 1, out += 1) {
        const i = at + c;
        result[out] =
          ((data[i] ?? 0) + (data[i + 3] ?? 0) + (data[i + row] ?? 0) + (data[i + row + 3] ?? 0) + 2) >> 2;
      }
    }
  }
  return { format: 'rgb24', width: w, height: h, data: result };
};

/** Fills a tensor [3, H, W] with the padding's colour. */
export const clear = (input: InputSpec, tensor: Float32Array): void => {
  const plane = input.width * input.height;
  for (let c = 0; c < 3; c += 1) {
    tensor.fill((input.pad - (input.mean[c] ?? 0)) * (input.scale[c] ?? 1), c * plane, (c + 1) * plane);
  }
};

/** Planes of red, green and blue: where each begins, and `tensor = value * scale + bias`. */
const planesOf = (input: InputSpec): { start: number; scale: number; bias: number }[] => {
  const plane = input.width * input.height;
  return [0, 1, 2].map((rgb) => {
    const index = input.colourOrder === 'rgb' ? rgb : 2 - rgb;
    const scale = input.scale[index] ?? 1;
    return { start: index * plane, scale, bias: -(input.mean[index] ?? 0) * scale };
  });
};

const IDENTITY: ColourMatrix = [1, 0, 0, 0, 1, 0, 0, 0, 1];
const clamp = (value: number): number => (value < 0 ? 0 : value > 255 ? 255 : value);

/** Draws a picture into a tensor [3, H, W]. */
export const draw = (image: RgbImage, lie: Lie, input: InputSpec, tensor: Float32Array): void => {
  const { scaleX, scaleY, offsetX, offsetY, clip, mirrored } = lie;
  if (Math.max(scaleX, scaleY) < 0.5 && Math.min(image.width, image.height) > 1) {
    const half = halved(image);
    const [toX, toY] = [image.width / half.width, image.height / half.height];
    draw(half, { ...lie, scaleX: scaleX * toX, scaleY: scaleY * toY }, input, tensor);
    return;
  }
  const columns = axisOf(image.width, scaleX, offsetX, clip.x1, Math.min(clip.x2, input.width));
  const rows = axisOf(image.height, scaleY, offsetY, clip.y1, Math.min(clip.y2, input.height));
  const { data } = image;
  const [red, green, blue] = planesOf(input);
  if (red === undefined || green === undefined || blue === undefined) return;
  const [rr, rg, rb, gr, gg, gb, br, bg, bb] = lie.colour ?? IDENTITY;
  for (let j = 0; j < rows.low.length; j += 1) {
    const top = 3 * image.width * (rows.low[j] as number);
    const bottom = 3 * image.width * (rows.high[j] as number);
    const down = rows.mix[j] as number;
    const line = (rows.first + j) * input.width;
    for (let i = 0; i < columns.low.length; i += 1) {
      const [left, right] = [3 * (columns.low[i] as number), 3 * (columns.high[i] as number)];
      const across = columns.mix[i] as number;
      const w11 = down * across;
      const w10 = down - w11;
      const w01 = across - w11;
      const w00 = 1 - down - across + w11;
      const [a, b, c, d] = [top + left, top + right, bottom + left, bottom + right];
      const r =
        w00 * (data[a] as number) +
        w01 * (data[b] as number) +
        w10 * (data[c] as number) +
        w11 * (data[d] as number);
      const g =
        w00 * (data[a + 1] as number) +
        w01 * (data[b + 1] as number) +
        w10 * (data[c + 1] as number) +
        w11 * (data[d + 1] as number);
      const l =
        w00 * (data[a + 2] as number) +
        w01 * (data[b + 2] as number) +
        w10 * (data[c + 2] as number) +
        w11 * (data[d + 2] as number);
      const column = columns.first + i;
      const at = line + (mirrored ? input.width - 1 - column : column);
      tensor[red.start + at] = clamp(rr * r + rg * g + rb * l) * red.scale + red.bias;
      tensor[green.start + at] = clamp(gr * r + gg * g + gb * l) * green.scale + green.bias;
      tensor[blue.start + at] = clamp(br * r + bg * g + bb * l) * blue.scale + blue.bias;
    }
  }
};

/** A box of the picture where it lies in the input, cut off at the clip. Empty boxes are possible. */
export const placeBox = (box: Box, lie: Lie, width: number): Box => {
  const cut = (value: number, low: number, high: number): number => Math.min(Math.max(value, low), high);
  const { scaleX, scaleY, offsetX, offsetY, clip } = lie;
  const x1 = cut(box.x1 * scaleX + offsetX, clip.x1, clip.x2);
  const x2 = cut(box.x2 * scaleX + offsetX, clip.x1, clip.x2);
  const y1 = cut(box.y1 * scaleY + offsetY, clip.y1, clip.y2);
  const y2 = cut(box.y2 * scaleY + offsetY, clip.y1, clip.y2);
  return lie.mirrored ? { x1: width - x2, y1, x2: width - x1, y2 } : { x1, y1, x2, y2 };
};
