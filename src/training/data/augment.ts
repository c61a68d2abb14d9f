// Augmentation: where pictures lie in the input and in which colours, drawn by seed; then drawn, with their boxes.
import type { InputSpec } from '../../registry/index.js';
import type { Random } from '../../system/index.js';
import { type Box, boxArea, clipBox, placeFrame } from '../../vision/index.js';
import type { Target, Targets } from '../loss/targets.js';
import { colourMatrix } from './colour.js';
import { clear, draw, type Lie, placeBox } from './draw.js';
import type { Sample } from './sample.js';

export interface Augmentation {
  /** Share of inputs that are four pictures in one (Bochkovskiy et al. 2020). */
  readonly mosaic: number;
  /**
   * Whether mosaics are tiles that are cut around an object of each picture, as large as it is there: where pictures are mostly road
   * and sky, twice the objects are seen for the same work (default: whole pictures that meet at a point).
   */
  readonly tiles?: boolean;
  /**
   * Whether a single picture is such a tile too, as large as the input: a network sees pictures larger than its input at their own
   * size, or at what `scale` makes of the size that fits (default: it sees them whole).
   */
  readonly crops?: boolean;
  /** Of an object that is cut, the share that must be left to learn it (default 0.25). */
  readonly leastShare?: number;
  /** Share that are mirrored. */
  readonly flip: number;
  /** Factors between which a picture is scaled. */
  readonly scale: readonly [low: number, high: number];
  /** Share of the input's sides that it is moved by at most. */
  readonly translate: number;
  /** Degrees at most. */
  readonly hue: number;
  /** Factors lie between 1 less this and 1 plus this. */
  readonly saturation: number;
  readonly brightness: number;
}

export const NO_AUGMENTATION: Augmentation = {
  mosaic: 0,
  flip: 0,
  scale: [1, 1],
  translate: 0,
  hue: 0,
  saturation: 0,
  brightness: 0,
};

/** Gentle: for a model that knows its business already. A short run cannot afford pictures that look like no other. */
export const FINE_TUNING_AUGMENTATION: Augmentation = {
  mosaic: 0,
  flip: 0.5,
  scale: [0.8, 1.2],
  translate: 0.1,
  hue: 6,
  saturation: 0.4,
  brightness: 0.3,
};

/** For a network from scratch. */
export const SCRATCH_AUGMENTATION: Augmentation = {
  mosaic: 0.8,
  flip: 0.5,
  scale: [0.5, 1.5],
  translate: 0.1,
  hue: 8,
  saturation: 0.6,
  brightness: 0.4,
};

/** An object of which less is left is none, but nothing to deny either. */
const LEAST_SHARE = 0.25;
const LEAST_SIDE = 3;

const colourOf = ({ hue, saturation, brightness }: Augmentation, random: Random): Lie['colour'] => {
  if (hue === 0 && saturation === 0 && brightness === 0) return undefined;
  return colourMatrix({
    hue: random.between(-hue, hue),
    saturation: random.between(1 - saturation, 1 + saturation),
    brightness: random.between(1 - brightness, 1 + brightness),
  });
};

/** Objects of a sample where they came to lie, and what of them is not worth learning. */
const placed = (
  { objects, ignored }: Sample,
  lie: Lie,
  { width, height }: InputSpec,
  leastShare: number,
): Targets => {
  const rest: Box[] = ignored.map((box) => placeBox(box, lie, width));
  const kept: Target[] = [];
  for (const object of objects) {
    const whole = placeBox(object, { ...lie, clip: { x1: -1e9, y1: -1e9, x2: 1e9, y2: 1e9 } }, width);
    const seen = clipBox(placeBox(object, lie, width), width, height);
    const share = boxArea(seen) / Math.max(1e-9, boxArea(whole));
    const isLarge = seen.x2 - seen.x1 >= LEAST_SIDE && seen.y2 - seen.y1 >= LEAST_SIDE;
    if (isLarge && share >= leastShare) kept.push({ ...object, ...seen });
    else if (boxArea(seen) > 0) rest.push(seen);
  }
  return { objects: kept, ignored: rest };
};

/** The four lies of a mosaic: pictures meet at a point of a canvas twice the input's sides; a window of it is seen. */
const mosaicLies = (
  samples: readonly Sample[],
  input: InputSpec,
  options: Augmentation,
  random: Random,
): Lie[] => {
  const { width, height } = input;
  const [cx, cy] = [width * random.between(0.5, 1.5), height * random.between(0.5, 1.5)];
  const zoom = random.between(...options.scale);
  const shift = (side: number): number =>
    side * (0.5 + random.between(-options.translate, options.translate));
  const [shiftX, shiftY] = [shift(width), shift(height)];
  const mirrored = random.chance(options.flip);
  const toX = (x: number): number => (x - width) * zoom + shiftX;
  const toY = (y: number): number => (y - height) * zoom + shiftY;
  return samples.map(({ image }, i) => {
    const ratio = Math.min(width / image.width, height / image.height);
    const [w, h] = [image.width * ratio, image.height * ratio];
    const [isRight, isLow] = [i % 2 === 1, i >= 2];
    const [left, top] = [isRight ? cx : cx - w, isLow ? cy : cy - h];
    const clip = {
      x1: Math.max(0, toX(Math.max(0, left))),
      y1: Math.max(0, toY(Math.max(0, top))),
      x2: Math.min(width, toX(Math.min(2 * width, left + w))),
      y2: Math.min(height, toY(Math.min(2 * height, top + h))),
    };
    return {
      scaleX: ratio * zoom,
      scaleY: ratio * zoom,
      offsetX: toX(left),
      offsetY: toY(top),
      clip,
      mirrored,
      colour: colourOf(options, random),
    };
  });
};

/** How far from its tile's middle an object lies at most, in shares of the tile's sides. */
const ASIDE = 0.3;

/** The lies of one tile or four: an object of each picture, and what is around it. Pictures without one give any part. */
const tileLies = (
  samples: readonly Sample[],
  input: InputSpec,
  options: Augmentation,
  random: Random,
): Lie[] => {
  const { width, height } = input;
  const [cx, cy] =
    samples.length === 1
      ? [width, height]
      : [width * random.between(0.35, 0.65), height * random.between(0.35, 0.65)];
  const mirrored = random.chance(options.flip);
  return samples.map(({ image, objects }, i) => {
    const [isRight, isLow] = [i % 2 === 1, i >= 2];
    const clip = {
      x1: isRight ? cx : 0,
      y1: isLow ? cy : 0,
      x2: isRight ? width : cx,
      y2: isLow ? height : cy,
    };
    const scale = Math.min(width / image.width, height / image.height) * random.between(...options.scale);
    const [w, h] = [image.width * scale, image.height * scale];
    const object = objects[random.below(Math.max(1, objects.length))];
    const place = (from: number, to: number, centre: number, side: number): number => {
      const offset = (from + to) / 2 + (to - from) * random.between(-ASIDE, ASIDE) - centre * scale;
      // The picture covers the tile.
      return Math.min(from, Math.max(to - side, offset));
    };
    const [x, y] = [
      object === undefined ? image.width * random.next() : (object.x1 + object.x2) / 2,
      object === undefined ? image.height * random.next() : (object.y1 + object.y2) / 2,
    ];
    return {
      scaleX: scale,
      scaleY: scale,
      offsetX: place(clip.x1, clip.x2, x, w),
      offsetY: place(clip.y1, clip.y2, y, h),
      clip,
      mirrored,
      colour: colourOf(options, random),
    };
  });
};

/** One picture as the detector places it, scaled around the input's middle and moved. */
const singleLie = ({ image }: Sample, input: InputSpec, options: Augmentation, random: Random): Lie => {
  const { width, height } = input;
  const { left, top, width: w, height: h } = placeFrame(input, image.width, image.height);
  const isMoved = options.translate > 0 || options.scale.some((factor) => factor !== 1);
  const zoom = isMoved ? random.between(...options.scale) : 1;
  const moved = (side: number): number =>
    isMoved ? side * random.between(-options.translate, options.translate) : 0;
  return {
    scaleX: (w / image.width) * zoom,
    scaleY: (h / image.height) * zoom,
    offsetX: (left - width / 2) * zoom + width / 2 + moved(width),
    offsetY: (top - height / 2) * zoom + height / 2 + moved(height),
    clip: { x1: 0, y1: 0, x2: width, y2: height },
    mirrored: options.flip > 0 && random.chance(options.flip),
    colour: colourOf(options, random),
  };
};

/** How many pictures an input is made of, 1 or 4. The first number that is drawn for an input. */
export const partsOf = (options: Augmentation, random: Random): number =>
  options.mosaic > 0 && random.chance(options.mosaic) ? 4 : 1;

/**
 * Draws one input of a batch.
 *
 * @param samples one, or four for a mosaic
 * @param tensor [3, H, W], overwritten
 * @returns what it shows, in pixels of the input
 */
export const compose = (
  samples: readonly Sample[],
  input: InputSpec,
  options: Augmentation,
  random: Random,
  tensor: Float32Array,
): Targets => {
  clear(input, tensor);
  const [first] = samples;
  const lies =
    samples.length === 1 && first !== undefined && options.crops !== true
      ? [singleLie(first, input, options, random)]
      : (options.tiles === true || samples.length === 1 ? tileLies : mosaicLies)(
          samples,
          input,
          options,
          random,
        );
  const shown = samples.map((sample, i) => {
    const lie = lies[i];
    if (lie === undefined) return { objects: [], ignored: [] };
    draw(sample.image, lie, input, tensor);
    return placed(sample, lie, input, options.leastShare ?? LEAST_SHARE);
  });
  return {
    objects: shown.flatMap(({ objects }) => objects),
    ignored: shown.flatMap(({ ignored }) => ignored),
  };
};
