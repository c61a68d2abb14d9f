// Attributes of nodes, typed. Immutable: set another one instead.
import type { Tensor } from '../tensor.js';
import type { Subgraph } from './subgraph.js';

/**
 * An attribute's value. Integers beyond 2^53 are rounded here but written as they were read. `other` is what bitlane
 * has no use for (types, sparse tensors): it is kept as it is.
 */
export type Attribute =
  | { readonly type: 'int'; readonly value: number }
  | { readonly type: 'float'; readonly value: number }
  | { readonly type: 'string'; readonly value: string }
  | { readonly type: 'tensor'; readonly value: Tensor }
  | { readonly type: 'ints'; readonly value: readonly number[] }
  | { readonly type: 'floats'; readonly value: readonly number[] }
  | { readonly type: 'strings'; readonly value: readonly string[] }
  | { readonly type: 'tensors'; readonly value: readonly Tensor[] }
  | { readonly type: 'graph' | 'graphs'; readonly value: Subgraph }
  | { readonly type: 'other' };

export const int = (value: number): Attribute => ({ type: 'int', value });
export const float = (value: number): Attribute => ({ type: 'float', value });
export const text = (value: string): Attribute => ({ type: 'string', value });
export const ints = (value: readonly number[]): Attribute => ({ type: 'ints', value });
export const floats = (value: readonly number[]): Attribute => ({ type: 'floats', value });
export const tensor = (value: Tensor): Attribute => ({ type: 'tensor', value });
