// What a bare model is: its input and head, from what the graph declares, what it gives for a grey picture, and what the user said.
import { BitlaneError } from '../errors.js';
import { type DetectorSpec, detectorSpecSchema, type HeadSpec, type InputSpec } from '../registry/index.js';
import { showValue, type Tensors, type ValueInfo } from '../runtime/index.js';
import { describeHead } from './describe-head.js';
import type { ModelHints } from './probe-messages.js';

const IDENTITY = { mean: [0, 0, 0], scale: [1, 1, 1], pad: 114 } as const;
const UNIT = [1 / 255, 1 / 255, 1 / 255] as const;

/** How the trainers of each head prepare pictures, where the user does not say. */
const PREPARATION: Readonly<
  Record<
    HeadSpec['type'],
    {
      readonly colourOrder: InputSpec['colourOrder'];
      readonly letterbox: InputSpec['letterbox'];
      readonly mean: readonly [number, number, number];
      readonly scale: readonly [number, number, number];
      readonly pad: number;
    }
  >
> = {
  yolox: { ...IDENTITY, colourOrder: 'bgr', letterbox: 'top-left' },
  yolov8: { ...IDENTITY, colourOrder: 'rgb', letterbox: 'centre', scale: UNIT },
  'end-to-end': { ...IDENTITY, colourOrder: 'rgb', letterbox: 'centre', scale: UNIT },
  gfl: {
    colourOrder: 'bgr',
    letterbox: 'stretch',
    mean: [103.53, 116.28, 123.675],
    scale: [1 / 57.375, 1 / 57.12, 1 / 58.395],
    pad: 0,
  },
};

const refuse = (message: string): BitlaneError => new BitlaneError('BAD_MODEL', message);

/** The one input, a picture: floats [1, 3, height, width], or bytes [1, height, width, 3]. */
const pictureInput = (inputs: readonly ValueInfo[]): ValueInfo => {
  const [input, ...others] = inputs;
  if (input === undefined) throw refuse('the model has no input: a detector has one, the picture');
  if (others.length > 0) {
    const names = inputs.map(({ name }) => name).join(', ');
    throw refuse(`the model has several inputs (${names}): a detector has one, the picture`);
  }
  if (input.type !== 'float32' && input.type !== 'uint8') {
    throw refuse(
      `the model's input ${input.name} takes ${input.type}: only float32 and uint8 can be served, export it with a float32 input`,
    );
  }
  const isBytes = input.type === 'uint8';
  const [batch, channels] = [input.shape[0], input.shape[isBytes ? 3 : 1]];
  const fits = (dim: number | string | undefined, wanted: number): boolean =>
    typeof dim === 'string' || dim === wanted;
  if (input.shape.length !== 4 || !fits(batch, 1) || !fits(channels, 3)) {
    throw refuse(
      `the model's input ${showValue(input)} is no picture: it must be ${isBytes ? 'uint8 [1, height, width, 3]' : 'float32 [1, 3, height, width]'}`,
    );
  }
  return input;
};

/** A side of the input: the graph's, or the user's where the graph leaves it open. */
const sideOf = (what: string, declared: number | string | undefined, hinted: number | undefined): number => {
  if (typeof declared !== 'number') {
    if (hinted !== undefined) return hinted;
    throw refuse('the model takes pictures of any size: say which with --input WxH');
  }
  if (hinted !== undefined && hinted !== declared) {
    throw refuse(`the model's input is ${declared} pixels ${what}, and --input says ${hinted}`);
  }
  return declared;
};

/** What is done to pixels: nothing where the model takes them as they are, whatever its like are usually given. */
const normalizationOf = (
  { name, type }: ValueInfo,
  { mean, scale }: ModelHints,
  usual: Pick<InputSpec, 'mean' | 'scale'>,
): Pick<InputSpec, 'format' | 'mean' | 'scale'> => {
  if (type !== 'uint8') return { mean: mean ?? usual.mean, scale: scale ?? usual.scale };
  if (mean?.some((value) => value !== 0) === true || scale?.some((value) => value !== 1) === true) {
    throw refuse(`the model's input ${name} takes bytes, pixels as they are: leave --mean and --scale out`);
  }
  return { format: 'bytes', mean: [...IDENTITY.mean], scale: [...IDENTITY.scale] };
};

/**
 * The input specification of a bare model.
 * @throws BitlaneError `BAD_MODEL` when it cannot be served
 */
export const describeInput = (inputs: readonly ValueInfo[], hints: ModelHints): InputSpec => {
  const input = pictureInput(inputs);
  const usual = PREPARATION[hints.head];
  const [high, wide] = input.shape.slice(input.type === 'uint8' ? 1 : 2);
  const [width, height] = [sideOf('wide', wide, hints.width), sideOf('high', high, hints.height)];
  for (const side of [width, height]) {
    if (side < 32 || side > 4096)
      throw refuse(`an input of ${width}x${height} pixels is not served: sides are 32 to 4096`);
  }
  return {
    name: input.name,
    width,
    height,
    colourOrder: hints.colourOrder ?? usual.colourOrder,
    ...normalizationOf(input, hints, { mean: [...usual.mean], scale: [...usual.scale] }),
    letterbox: hints.letterbox ?? usual.letterbox,
    pad: hints.pad ?? usual.pad,
  };
};

/**
 * The whole specification.
 * @param outputs what the model gave for a grey picture
 * @throws BitlaneError `BAD_MODEL` when the outputs are not those of the head, or of as many classes as there are names
 */
export const describeModel = (input: InputSpec, outputs: Tensors, hints: ModelHints): DetectorSpec => {
  const parsed = detectorSpecSchema.safeParse({
    input,
    head: describeHead(input, outputs, hints),
    classes: hints.names,
  });
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw refuse(`the model cannot be described: ${issue?.path.join('.') ?? ''}: ${issue?.message ?? ''}`);
};
