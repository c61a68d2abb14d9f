// The numbers of a constant.
import type { Value } from '../../onnx/index.js';

/** The 32-bit floats that `value` always is; `undefined` where it is something else. */
export const floatsOf = ({ constant }: Value): Float32Array | undefined =>
  constant?.kind === 'dense' && constant.type === 'float32' ? constant.data : undefined;
