// Frame to tensor: decode, place, sample, normalize or round, in one pass over the pixels.
import { BitlaneError } from '../errors.js';
import type { InputSpec } from '../registry/index.js';
import { type Engine, makeEngine } from './engine.js';
import { type InputData, isInputData } from './input.js';
import { checkJpeg, decodeJpegInto } from './jpeg.js';
import type { LetterboxTransform } from './letterbox.js';
import { checkPicture, checkPictureSize } from './picture.js';
import { copyPixels, fillPadding, makePlan, type Plan } from './plan.js';
import type { Picture, YuvColour } from './types.js';

const isSameMemory = (a: Uint8Array, b: Uint8Array): boolean =>
  a.buffer === b.buffer && a.byteOffset === b.byteOffset;

/** Room for a decoded Full HD picture from the start; a larger one moves to larger memory. */
const FIRST_CAPACITY = 3 * 1920 * 1088;

interface Prepared {
  readonly plan: Plan;
  /** Where the picture goes before it is sampled. */
  readonly pixels: Uint8Array<ArrayBuffer>;
  readonly engine: Engine;
  readonly width: number;
  readonly height: number;
  readonly colour: YuvColour | undefined;
}

/**
 * Turns frames into input tensors: bilinear with half-pixel centres, not antialiased (OpenCV's INTER_LINEAR), letterboxed and
 * normalized as the model asks. Keeps tables and memory for the last input and frame size; one per stream of frames.
 */
export class Preprocessor {
  readonly #simd: boolean;
  #input: InputSpec | undefined;
  #engine: Engine | undefined;
  #prepared: Prepared | undefined;
  /** What the tensor's padding was filled for: sampling leaves it alone. */
  #padded: Plan | undefined;

  /** @param options `simd: false` forbids the WebAssembly kernels */
  constructor(options: { readonly simd?: boolean } = {}) {
    this.#simd = options.simd ?? true;
  }

  /**
   * The tensor, floats [1, 3, height, width] or bytes [1, height, width, 3], that {@link preprocess} fills without a copy when it gets
   * it as `out`. It is this preprocessor's own: the next frame overwrites it.
   */
  tensor(input: InputSpec): InputData {
    return this.#engineFor(input, 0).tensor;
  }

  /**
   * Fills `out` with the input tensor of a frame.
   * @param out 3 * height * width floats, or bytes where the input says so, channels in the model's colour order
   * @returns the way from the input's pixels back to the frame's
   * @throws BAD_FRAME where the frame's bytes are not what it says they are
   */
  preprocess(frame: Picture, input: InputSpec, out: Float32Array | Uint8Array): LetterboxTransform {
    if (!isInputData(input, out)) {
      const wanted = `${3 * input.width * input.height} ${input.format ?? 'floats'}`;
      throw new BitlaneError(
        'INTERNAL',
        `an input of ${input.width} x ${input.height} needs ${wanted}, not a ${out.constructor.name} of ${out.length}`,
      );
    }
    checkPicture(frame);
    const jpeg = frame.format === 'jpeg' ? checkJpeg(frame.data, frame.width, frame.height) : undefined;
    const { plan, pixels, engine } = this.#prepare(frame, input);
    if (jpeg !== undefined) decodeJpegInto(frame.data, jpeg, pixels);
    else if (!isSameMemory(frame.data, pixels)) pixels.set(frame.data);
    if (this.#padded !== plan) {
      fillPadding(plan, engine.tensor);
      this.#padded = plan;
    }
    if (!copyPixels(plan, pixels, engine.tensor)) engine.sample(plan);
    if (out !== engine.tensor) out.set(engine.tensor);
    return plan.transform;
  }

  /**
   * Memory for the bytes of the next frame: {@link preprocess} need not copy a frame whose `data` lies there. It is good until the
   * next frame. `undefined` for a JPEG, which is decoded from where it lies.
   * @throws BAD_FRAME where no frame can have this size
   */
  room(frame: Omit<Picture, 'data'>, input: InputSpec): Uint8Array<ArrayBuffer> | undefined {
    if (frame.format === 'jpeg') return undefined;
    checkPictureSize(frame);
    return this.#prepare(frame, input).pixels;
  }

  #engineFor(input: InputSpec, capacity: number): Engine {
    if (this.#engine === undefined || this.#input !== input || this.#engine.capacity < capacity) {
      this.#engine = makeEngine(input, Math.max(capacity, FIRST_CAPACITY), this.#simd);
      this.#input = input;
    }
    return this.#engine;
  }

  #prepare(frame: Omit<Picture, 'data'>, input: InputSpec): Prepared {
    const { width, height } = frame;
    const colour = frame.format === 'yuv420' ? (frame.colour ?? 'bt601-full') : undefined;
    const last = this.#prepared;
    if (
      last !== undefined &&
      last.plan.input === input &&
      last.width === width &&
      last.height === height &&
      last.colour === colour &&
      last.engine === this.#engine
    ) {
      return last;
    }
    const plan = makePlan(input, width, height, colour);
    const engine = this.#engineFor(input, plan.sourceBytes);
    const pixels = engine.source(plan.sourceBytes);
    this.#prepared = { plan, pixels, engine, width, height, colour };
    return this.#prepared;
  }
}
