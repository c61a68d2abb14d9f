// Where a frame sits in the model's input, and the way back.
import type { InputSpec } from '../registry/index.js';
import type { Box } from './types.js';

/** From pixels of the model's input to pixels of the frame: `frame = (input - offset) * scale`. */
export interface LetterboxTransform {
  readonly scaleX: number;
  readonly scaleY: number;
  /** Left and top edge of the picture in the input. */
  readonly offsetX: number;
  readonly offsetY: number;
}

/** The part of the input that the picture fills, in whole pixels. */
export interface Placement {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

/** Geometry of an input, without its colours. */
export type InputGeometry = Pick<InputSpec, 'width' | 'height' | 'letterbox'>;

// 640 * (416 / 640) may come out as 415.99999: a pixel must not depend on that.
const floor = (value: number): number => Math.floor(value + 1e-6);

/**
 * Places a frame in the input. `top-left` rounds the resized picture down (as YOLOX does), `centre` to nearest with the
 * smaller half of the padding first (as Ultralytics does), `stretch` fills the input.
 */
export const placeFrame = (input: InputGeometry, width: number, height: number): Placement => {
  const ratio = Math.min(input.width / width, input.height / height);
  switch (input.letterbox) {
    case 'stretch':
      return { left: 0, top: 0, width: input.width, height: input.height };
    case 'top-left':
      return {
        left: 0,
        top: 0,
        width: Math.max(1, floor(width * ratio)),
        height: Math.max(1, floor(height * ratio)),
      };
    case 'centre': {
      const w = Math.max(1, Math.round(width * ratio));
      const h = Math.max(1, Math.round(height * ratio));
      return {
        left: Math.floor((input.width - w) / 2),
        top: Math.floor((input.height - h) / 2),
        width: w,
        height: h,
      };
    }
  }
};

/**
 * The way back from `placement` to a frame of `width` x `height`. Exact for the resized picture: where its sides were
 * rounded, the two scales differ by that rounding (YOLOX itself uses the unrounded ratio for both).
 */
export const letterboxTransform = (
  placement: Placement,
  width: number,
  height: number,
): LetterboxTransform => ({
  scaleX: width / placement.width,
  scaleY: height / placement.height,
  offsetX: placement.left,
  offsetY: placement.top,
});

/** A box of the input in pixels of the frame, clipped to it. */
export const toFrame = (
  box: Box,
  transform: LetterboxTransform,
  frame: { readonly width: number; readonly height: number },
): Box => {
  const x = (value: number): number =>
    Math.min(Math.max((value - transform.offsetX) * transform.scaleX, 0), frame.width);
  const y = (value: number): number =>
    Math.min(Math.max((value - transform.offsetY) * transform.scaleY, 0), frame.height);
  return { x1: x(box.x1), y1: y(box.y1), x2: x(box.x2), y2: y(box.y2) };
};

/** A box of the frame in pixels of the input (not clipped): the inverse of {@link toFrame}. */
export const toInput = (box: Box, transform: LetterboxTransform): Box => ({
  x1: box.x1 / transform.scaleX + transform.offsetX,
  y1: box.y1 / transform.scaleY + transform.offsetY,
  x2: box.x2 / transform.scaleX + transform.offsetX,
  y2: box.y2 / transform.scaleY + transform.offsetY,
});
