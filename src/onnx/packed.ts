// Sub-byte integers: several to a byte, the first in the lowest bits, the last byte filled up with zeros.
import { BitlaneError } from '../errors.js';
import { bitsOf, type PackedType } from './types.js';

/** Bytes that `count` elements of `type` take. */
export const packedBytes = (type: PackedType, count: number): number => Math.ceil((count * bitsOf(type)) / 8);

const isSigned = (type: PackedType): boolean => type === 'int4' || type === 'int2';

/** The smallest and largest value of a packed integer type (of `float4e2m1`: of its code). */
export const packedRange = (type: PackedType): { readonly low: number; readonly high: number } => {
  const bits = bitsOf(type);
  return isSigned(type)
    ? { low: -(2 ** (bits - 1)), high: 2 ** (bits - 1) - 1 }
    : { low: 0, high: 2 ** bits - 1 };
};

/**
 * Packs integers.
 *
 * @throws BitlaneError `INTERNAL` for a value that the type does not hold
 */
export const packBits = (type: PackedType, values: ArrayLike<number>): Uint8Array => {
  const bits = bitsOf(type);
  const perByte = 8 / bits;
  const mask = 2 ** bits - 1;
  const { low, high } = packedRange(type);
  const bytes = new Uint8Array(packedBytes(type, values.length));
  for (let i = 0; i < values.length; i++) {
    const value = values[i] ?? 0;
    if (!Number.isInteger(value) || value < low || value > high) {
      throw new BitlaneError('INTERNAL', `${type} holds integers from ${low} to ${high}, not ${value}`);
    }
    const at = Math.floor(i / perByte);
    bytes[at] = (bytes[at] ?? 0) | ((value & mask) << ((i % perByte) * bits));
  }
  return bytes;
};

/** The `count` integers in `bytes` (of `float4e2m1`: their codes); an Int8Array for the signed types. */
export const unpackBits = (type: PackedType, bytes: Uint8Array, count: number): Int8Array | Uint8Array => {
  const bits = bitsOf(type);
  const perByte = 8 / bits;
  const mask = 2 ** bits - 1;
  const signed = isSigned(type);
  const values = signed ? new Int8Array(count) : new Uint8Array(count);
  for (let i = 0; i < count; i++) {
    const code = ((bytes[Math.floor(i / perByte)] ?? 0) >> ((i % perByte) * bits)) & mask;
    values[i] = signed && code >= 2 ** (bits - 1) ? code - 2 ** bits : code;
  }
  return values;
};
