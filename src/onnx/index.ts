// ONNX models: read, write, edit, infer shapes, cut. Nothing here runs a model.
export { type Attribute, float, floats, int, ints, tensor, text } from './graph/attribute.js';
export { Graph, type NodeParts } from './graph/graph.js';
export type { Node } from './graph/node.js';
export type { Place } from './graph/nodeList.js';
export type { Subgraph } from './graph/subgraph.js';
export type { Use, Value } from './graph/value.js';
export { cloneModel, extract } from './cut.js';
export { inferShapes } from './infer/infer.js';
export { between, downstream, upstream } from './reach.js';
export { readModel } from './file/read.js';
export { saveModel, type SaveOptions, writeModel, type WriteOptions } from './file/write.js';
export { MAX_OPSET, MIN_OPSET } from './limits.js';
export { Model, type ModelParts } from './model.js';
export { packBits, packedRange, unpackBits } from './packed.js';
export {
  byteSizeOf,
  bytesOfTensor,
  type DenseTensor,
  type DenseTensorOf,
  type DenseType,
  integersOf,
  intsTensor,
  type PackedTensor,
  packTensor,
  type StringTensor,
  type Tensor,
  tensorOf,
  tensorOfBytes,
  unpackTensor,
} from './tensor.js';
export {
  bitsOf,
  codeOf,
  type DataType,
  type Dim,
  isPackedType,
  isStatic,
  type PackedType,
  type Shape,
  showType,
  sizeOf,
  typeOfCode,
} from './types.js';
export { foldBatchNorm } from './passes/foldBatchNorm.js';
export { foldConstants } from './passes/foldConstants.js';
export { foldSlices } from './passes/foldSlices.js';
export { freezeInitializers } from './passes/freezeInitializers.js';
export { type Pass, runPasses } from './passes/pass.js';
export { removeDeadNodes } from './passes/removeDeadNodes.js';
export { removeIdentities } from './passes/removeIdentities.js';
export { removeUnusedInitializers } from './passes/removeUnusedInitializers.js';
export { shortenNames } from './passes/shortenNames.js';
export { irVersionOf, upgradeOpset } from './passes/upgradeOpset.js';
