// A WebAssembly assembler of the few instructions that the pixel kernels use: expressions in, a module out.

/** Machine code of an expression or statement. */
export type Code = readonly number[];

/** Unsigned LEB128. */
const u = (value: number): Code => {
  const bytes: number[] = [];
  let rest = value >>> 0;
  do {
    bytes.push(rest > 127 ? (rest & 127) | 128 : rest);
    rest >>>= 7;
  } while (rest > 0);
  return bytes;
};

/** Signed LEB128 of a 32-bit integer. */
const s = (value: number): Code => {
  const bytes: number[] = [];
  let rest = value | 0;
  for (;;) {
    const low = rest & 127;
    rest >>= 7;
    if ((rest === 0 && (low & 64) === 0) || (rest === -1 && (low & 64) !== 0)) return [...bytes, low];
    bytes.push(low | 128);
  }
};

const join = (parts: readonly Code[]): number[] => parts.flatMap((part) => [...part]);
const operator =
  (...opcode: number[]) =>
  (...operands: Code[]): Code => [...join(operands), ...opcode];
const simd = (opcode: number): ((...operands: Code[]) => Code) => operator(0xfd, ...u(opcode));
/** Loads and stores claim no alignment: pixels stand at any address. */
const memory =
  (opcode: Code) =>
  (address: Code, offset = 0): Code => [...address, ...opcode, 0, ...u(offset)];

export const i32 = {
  const: (value: number): Code => [0x41, ...s(value)],
  add: operator(0x6a),
  sub: operator(0x6b),
  shl: operator(0x74),
  /** Signed `a < b`. */
  lt: operator(0x48),
  load: memory([0x28]),
};

export const v128 = {
  load: memory([0xfd, 0x00]),
  load32Splat: memory([0xfd, 0x09]),
  /** Eight bytes; the upper half is zero. */
  load64Zero: memory([0xfd, 0x5d]),
  /** Replaces 16-bit lane `lane` of `vector` by two bytes from `address`. */
  load16Lane: (address: Code, vector: Code, lane: number): Code => [
    ...address,
    ...vector,
    0xfd,
    0x55,
    0,
    0,
    lane,
  ],
  store: (address: Code, value: Code): Code => [...address, ...value, 0xfd, 0x0b, 0, 0],
  /** Stores four bytes: lane `lane` of 32 bits. */
  store32Lane: (address: Code, value: Code, lane: number, offset = 0): Code => [
    ...address,
    ...value,
    0xfd,
    0x5a,
    0,
    ...u(offset),
    lane,
  ],
  /** Stores eight bytes: lane `lane` of 64 bits. */
  store64Lane: (address: Code, value: Code, lane: number): Code => [
    ...address,
    ...value,
    0xfd,
    0x5b,
    0,
    0,
    lane,
  ],
  const: (bytes: readonly number[]): Code => [0xfd, 0x0c, ...bytes],
  /** Bytes `lanes` of the 32 bytes of `a` and `b`. */
  shuffle: (a: Code, b: Code, lanes: readonly number[]): Code => [...a, ...b, 0xfd, 0x0d, ...lanes],
  /** Bytes of `a` by index; an index over 15 gives zero. */
  swizzle: simd(0x0e),
};

/** `narrow`: lanes of twice the width of two vectors, saturated to signed ones. */
export const i16x8 = { extendLowU8: simd(0x89), extendHighU8: simd(0x8a), narrow: simd(0x85) };
/** `narrowU`: signed lanes of twice the width of two vectors, saturated to unsigned ones. */
export const i8x16 = { narrowU: simd(0x66) };
/** `dot`: products of signed 16-bit lanes, added in pairs. */
export const i32x4 = { dot: simd(0xba), sub: simd(0xb1) };
export const f32x4 = {
  add: simd(0xe4),
  mul: simd(0xe6),
  /** One instruction each, unlike `min` and `max`: what they do with NaN does not matter here. */
  pmin: simd(0xea),
  pmax: simd(0xeb),
  fromI32: simd(0xfa),
};

export const get = (local: number): Code => [0x20, ...u(local)];
export const set = (local: number, value: Code): Code => [...value, 0x21, ...u(local)];
/** Runs the statements at least once, and again while `condition` holds after them. */
export const doWhile = (statements: readonly Code[], condition: Code): Code => [
  0x03,
  0x40,
  ...join(statements),
  ...condition,
  0x0d,
  0,
  0x0b,
];

const I32 = 0x7f;
const V128 = 0x7b;

/** A function of 32-bit integer parameters without result; locals 0.. are the parameters, then `i32`, then `v128`. */
export interface WasmFunction {
  readonly name: string;
  readonly parameters: number;
  readonly i32Locals: number;
  readonly v128Locals: number;
  readonly body: readonly Code[];
}

const section = (id: number, content: Code): Code => [id, ...u(content.length), ...content];
const list = (items: readonly Code[]): Code => [...u(items.length), ...join(items)];
const text = (value: string): Code => {
  const bytes = [...new TextEncoder().encode(value)];
  return [...u(bytes.length), ...bytes];
};

/** A module that imports its memory as `env.memory` and exports `functions`. */
export const assemble = (functions: readonly WasmFunction[]): Uint8Array<ArrayBuffer> =>
  Uint8Array.from([
    ...[0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(1, list(functions.map((f) => [0x60, ...list(Array<Code>(f.parameters).fill([I32])), 0]))),
    ...section(2, list([[...text('env'), ...text('memory'), 0x02, 0x00, 1]])),
    ...section(3, list(functions.map((_, index) => u(index)))),
    ...section(7, list(functions.map((f, index) => [...text(f.name), 0x00, ...u(index)]))),
    ...section(
      10,
      list(
        functions.map((f) => {
          const locals = list([
            [...u(f.i32Locals), I32],
            [...u(f.v128Locals), V128],
          ]);
          const code = [...locals, ...join(f.body), 0x0b];
          return [...u(code.length), ...code];
        }),
      ),
    ),
  ]);

/** Linear memory; `buffer` stays valid as long as the memory is not grown, which nobody here does. */
export interface WasmMemory {
  readonly buffer: ArrayBuffer;
}

interface WasmApi {
  validate(code: Uint8Array): boolean;
  Module: new (code: Uint8Array) => object;
  Instance: new (module: object, imports: object) => { readonly exports: Readonly<Record<string, unknown>> };
  Memory: new (pages: { initial: number; maximum: number }) => WasmMemory;
}

/** The engine's WebAssembly: its types come with the browser's library, which this project does not load. */
export const WebAssembly = (globalThis as unknown as { WebAssembly: WasmApi }).WebAssembly;
