// Gradients: from an ONNX forward graph to one that computes its gradients too. Nothing here runs a model.
export { gradient, GRADIENT_SESSION, type GradientModel, type GradientOptions } from './gradient.js';
export { axisFrom, broadcast, type Cut, dimsOf, Ops, type Plain } from './ops.js';
export { type Recompute, recomputeCheap } from './recompute.js';
export { differentiable } from './rules.js';
