// The first look at a file, before anything is built from it: is it protobuf, does it end where it says, how much is in it.
import type { DescMessage } from '@bufbuild/protobuf';
import { badModel, MAX_DEPTH, MAX_ITEMS, MAX_LISTED_NUMBERS } from '../limits.js';

const VARINT = 0;
const FIXED64 = 1;
const LENGTH = 2;
const FIXED32 = 5;

interface Field {
  /** The message that the field holds. */
  readonly message: DescMessage | undefined;
  /** True for a list of numbers. */
  readonly numbers: boolean;
}

const tables = new WeakMap<DescMessage, Map<number, Field>>();

const tableOf = (desc: DescMessage): Map<number, Field> => {
  let table = tables.get(desc);
  if (table === undefined) {
    table = new Map(
      desc.fields.map((field) => [
        field.number,
        { message: field.message, numbers: field.fieldKind === 'list' && field.listKind !== 'message' },
      ]),
    );
    tables.set(desc, table);
  }
  return table;
};

class Scan {
  readonly #bytes: Uint8Array;
  readonly #what: string;
  #items = 0;
  #numbers = 0;

  constructor(bytes: Uint8Array, what: string) {
    this.#bytes = bytes;
    this.#what = what;
  }

  #broken(): Error {
    return badModel(`${this.#what} is no ONNX file, or it is truncated or altered`);
  }

  /** The low 32 bits of a varint at `at`, and where it ends. */
  #varint(at: number, end: number): { value: number; next: number } {
    let value = 0;
    for (let i = 0; i < 10 && at + i < end; i++) {
      const byte = this.#bytes[at + i] ?? 0;
      if (i < 5) value += (byte & 0x7f) * 2 ** (7 * i);
      if (byte < 0x80) return { value, next: at + i + 1 };
    }
    throw this.#broken();
  }

  #count(items: number, numbers: number): void {
    this.#items += items;
    this.#numbers += numbers;
    if (this.#items > MAX_ITEMS || this.#numbers > MAX_LISTED_NUMBERS) {
      throw badModel(`${this.#what} is made of more parts than bitlane takes: it is no sensible model`);
    }
  }

  message(desc: DescMessage, start: number, end: number, depth: number): void {
    if (depth > MAX_DEPTH) {
      throw badModel(
        `${this.#what} nests its parts deeper than ${MAX_DEPTH} levels, which bitlane does not take`,
      );
    }
    const table = tableOf(desc);
    for (let at = start; at < end;) {
      const tag = this.#varint(at, end);
      const field = table.get(Math.floor(tag.value / 8));
      if (tag.value < 8) throw this.#broken();
      at = tag.next;
      switch (tag.value % 8) {
        case VARINT:
          at = this.#varint(at, end).next;
          this.#count(0, 1);
          break;
        case FIXED64:
          at += 8;
          this.#count(0, 1);
          break;
        case FIXED32:
          at += 4;
          this.#count(0, 1);
          break;
        case LENGTH: {
          const { value: length, next } = this.#varint(at, end);
          at = next + length;
          if (at > end) throw this.#broken();
          this.#count(1, field?.numbers === true ? length : 0);
          if (field?.message !== undefined) this.message(field.message, next, at, depth + 1);
          break;
        }
        default:
          throw this.#broken();
      }
      if (at > end) throw this.#broken();
    }
  }
}

/**
 * Walks the wire format without building anything.
 *
 * @param what names the file in errors
 * @throws BitlaneError `BAD_MODEL` for what is no protobuf message, is torn, nests too deep or has too many parts
 */
export const scanMessage = (desc: DescMessage, bytes: Uint8Array, what: string): void => {
  new Scan(bytes, what).message(desc, 0, bytes.length, 0);
};
