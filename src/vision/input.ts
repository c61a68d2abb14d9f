// What a model takes of a picture: floats plane by plane, or bytes pixel by pixel; its memory and its tensor.
import type { InputSpec } from '../registry/index.js';
import { floatTensor, type Tensor } from '../runtime/index.js';

/** An input without its batch: floats [3, height, width], or bytes [height, width, 3]. */
export type InputData = Float32Array<ArrayBuffer> | Uint8Array<ArrayBuffer>;

/** An input as the graph declares it. */
export interface InputValue {
  readonly name: string;
  readonly type: 'float32' | 'uint8';
  readonly dims: readonly number[];
}

/** What the model's only input must be. */
export const inputValue = ({ name, width, height, format }: InputSpec): InputValue =>
  format === 'bytes'
    ? { name, type: 'uint8', dims: [1, height, width, 3] }
    : { name, type: 'float32', dims: [1, 3, height, width] };

/** Memory for an input. */
export const newInputData = ({ width, height, format }: InputSpec): InputData =>
  format === 'bytes' ? new Uint8Array(3 * width * height) : new Float32Array(3 * width * height);

/** Whether `data` is what {@link newInputData} gives, in type and size. */
export const isInputData = ({ width, height, format }: InputSpec, data: Float32Array | Uint8Array): boolean =>
  data.length === 3 * width * height && data instanceof Uint8Array === (format === 'bytes');

/** The tensor over `data`, which is not copied. */
export const inputTensor = (input: InputSpec, data: Float32Array | Uint8Array): Tensor => {
  const { dims } = inputValue(input);
  return data instanceof Float32Array ? floatTensor(dims, data) : { type: 'uint8', dims, data };
};
