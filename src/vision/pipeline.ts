// A picture in, detections out: preprocess, run, decode, suppress, back to the picture's pixels.
import { BitlaneError } from '../errors.js';
import type { DetectorSpec, InputSpec } from '../registry/index.js';
import { type Session, showValue, type ValueInfo } from '../runtime/index.js';
import { createHead, type Head, type Labels } from './heads/index.js';
import { inputTensor, inputValue } from './input.js';
import { type LetterboxTransform, toFrame } from './letterbox.js';
import { Preprocessor } from './preprocess.js';
import { nonMaxSuppression } from './suppression.js';
import type { Detection, Picture } from './types.js';

export interface PipelineOptions {
  /** 0..1; what scores lower is left out. */
  readonly scoreThreshold: number;
  /** Overlap above which the worse box of a class goes; not used where the graph suppresses itself. */
  readonly iouThreshold: number;
  readonly maxDetections: number;
  /** Names of the classes to keep; all where it is absent. Names that the model does not know are passed over. */
  readonly classes?: readonly string[];
  /** How many classes a place may be taken for; `best` where it is absent. */
  readonly labels?: Labels;
}

export interface PipelineResult {
  /** In pixels of the picture, clipped to it, best first. */
  readonly detections: Detection[];
  /** Outputs that were looked at and are not finite numbers; they never become detections. */
  readonly nonFinite: number;
  readonly timings: {
    readonly preprocessMs: number;
    readonly inferenceMs: number;
    readonly postprocessMs: number;
  };
}

/**
 * Checks that a session takes exactly one picture, as the manifest describes it.
 * @throws BitlaneError `BAD_MODEL`
 */
const checkInput = (inputs: readonly ValueInfo[], spec: InputSpec): void => {
  const { name, type, dims } = inputValue(spec);
  const input = inputs.find((candidate) => candidate.name === name);
  if (input === undefined || inputs.length !== 1) {
    const names = inputs.map((candidate) => candidate.name).join(', ');
    throw new BitlaneError(
      'BAD_MODEL',
      `the model must have the one input ${name}, and has ${names || 'none'}`,
    );
  }
  const fits =
    input.shape.length === dims.length &&
    dims.every((dim, i) => typeof input.shape[i] === 'string' || input.shape[i] === dim);
  if (input.type !== type || !fits) {
    throw new BitlaneError(
      'BAD_MODEL',
      `the model's input ${name} is ${showValue(input)} where the manifest says ${showValue({ type, shape: dims })}`,
    );
  }
};

/** For each class of the model, 1 to keep it. */
const keepMask = (
  classes: readonly string[],
  names: readonly string[] | undefined,
): Uint8Array | undefined =>
  names === undefined ? undefined : Uint8Array.from(classes, (name) => (names.includes(name) ? 1 : 0));

/** A picture that was made into the input tensor already, in another thread for instance. */
export interface PreparedPicture {
  /** What {@link Preprocessor.preprocess} filled. */
  readonly tensor: Float32Array | Uint8Array;
  readonly transform: LetterboxTransform;
  /** Of the picture, in pixels. */
  readonly width: number;
  readonly height: number;
}

/** One stream of pictures through one session. Blocks the thread while the model runs. */
export class Pipeline {
  readonly #session: Session;
  readonly #input: InputSpec;
  readonly #head: Head;
  readonly #options: PipelineOptions;
  readonly #keep: Uint8Array | undefined;
  readonly #iouThreshold: number;
  readonly #preprocessor = new Preprocessor();
  #last: Promise<unknown> = Promise.resolve();

  /** @throws BitlaneError `BAD_MODEL` when the session's inputs or outputs are not what the manifest says */
  constructor(session: Session, spec: DetectorSpec, options: PipelineOptions) {
    checkInput(session.inputs, spec.input);
    this.#head = createHead(spec);
    this.#head.checkOutputs(session.outputs);
    this.#session = session;
    this.#input = spec.input;
    this.#options = options;
    this.#keep = keepMask(spec.classes, options.classes);
    this.#iouThreshold = spec.head.type === 'end-to-end' ? 1 : options.iouThreshold;
  }

  /**
   * What is to be seen in a picture. Pictures share one input tensor: a call waits until those before it are done.
   * @throws BitlaneError `BAD_FRAME` where the picture's bytes are not what it says they are; `BAD_MODEL` where the model fails
   */
  detect(picture: Picture): Promise<PipelineResult> {
    const result = this.#last.then(() => this.#detect(picture));
    this.#last = result.catch(() => undefined);
    return result;
  }

  /**
   * What is to be seen in a picture that is prepared. One at a time: the caller waits for each.
   * @throws BitlaneError `BAD_MODEL` where the model fails
   */
  async detectPrepared(picture: PreparedPicture): Promise<PipelineResult> {
    const started = performance.now();
    const outputs = await this.#session.run({
      [this.#input.name]: inputTensor(this.#input, picture.tensor),
    });
    const inferred = performance.now();
    const { scoreThreshold, maxDetections, labels } = this.#options;
    const decoded = this.#head.decode(outputs, scoreThreshold, this.#keep, labels);
    const detections: Detection[] = [];
    for (const found of nonMaxSuppression(decoded.detections, {
      iouThreshold: this.#iouThreshold,
      maxDetections,
    })) {
      const { x1, y1, x2, y2 } = toFrame(found, picture.transform, picture);
      // Boxes that lie in the padding alone are empty now.
      if (x2 > x1 && y2 > y1) detections.push({ ...found, x1, y1, x2, y2 });
    }
    return {
      detections,
      nonFinite: decoded.nonFinite,
      timings: {
        preprocessMs: 0,
        inferenceMs: inferred - started,
        postprocessMs: performance.now() - inferred,
      },
    };
  }

  async #detect(picture: Picture): Promise<PipelineResult> {
    const started = performance.now();
    // A picture larger than all before it moves the tensor to larger memory, so it is asked for each time.
    const tensor = this.#preprocessor.tensor(this.#input);
    const transform = this.#preprocessor.preprocess(picture, this.#input, tensor);
    const preprocessMs = performance.now() - started;
    const { width, height } = picture;
    const result = await this.detectPrepared({ tensor, transform, width, height });
    return { ...result, timings: { ...result.timings, preprocessMs } };
  }
}
