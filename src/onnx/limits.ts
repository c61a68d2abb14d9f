// What a file may ask for at most, and the versions that bitlane knows.
import { BitlaneError } from '../errors.js';

/** Protobuf's own limit: no ONNX file is larger. */
export const MAX_FILE_BYTES = 2 ** 31 - 1;
/** External data of one model, all files together. */
export const MAX_EXTERNAL_BYTES = 2 ** 32;
/** Messages, strings and byte fields in a file: a detector has some ten thousand. */
export const MAX_ITEMS = 2_000_000;
/** Numbers that are not in raw form: a few bytes in a file become many in memory. */
export const MAX_LISTED_NUMBERS = 2 ** 24;
/** Messages inside each other: six for every graph inside a graph. */
export const MAX_DEPTH = 64;
/** Elements of a tensor. */
export const MAX_ELEMENTS = 2 ** 33;
export const MAX_RANK = 64;

export const MIN_OPSET = 11;
export const MAX_OPSET = 26;
export const MAX_IR_VERSION = 13;

/** Names come from the file: they may hold anything, at any length. */
const MESSAGE_LIMIT = 400;

const plain = (message: string): string => {
  const line = message.replace(/[\p{Cc}\p{Zl}\p{Zp}]+/gu, ' ');
  return line.length > MESSAGE_LIMIT ? `${line.slice(0, MESSAGE_LIMIT)}...` : line;
};

/** A model that cannot be taken: one plain sentence. */
export const badModel = (message: string, cause?: unknown): BitlaneError =>
  new BitlaneError('BAD_MODEL', plain(message), cause === undefined ? undefined : { cause });
