// onnxruntime sessions: create, run, release. Never in the process that keeps the watchdog alive: both calls block.
export { openSession, ortVersion, Session, type SessionOptions, withSession } from './session.js';
export {
  floatTensor,
  type FloatTensor,
  isTensorType,
  noiseBytes,
  noiseTensor,
  showValue,
  type Tensor,
  type Tensors,
  type TensorType,
  type ValueInfo,
} from './tensor.js';
