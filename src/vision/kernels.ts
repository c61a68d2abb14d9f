// The SIMD pixel kernels, compiled: once for the process, instantiated for each memory.
import { rgbBytes, rgbPlanes } from './rgb-kernels.js';
import { assemble, type WasmMemory, WebAssembly } from './wasm.js';
import { yuvBytes, yuvPlanes } from './yuv-kernels.js';

/** Parameters in the order of `PLANES` or `BYTES`, then, of YUV, chromaRows, chromaColumns, vDelta: addresses and strides in bytes. */
export type Kernel = (...parameters: number[]) => void;

const FUNCTIONS = { rgbPlanes, rgbBytes, yuvPlanes, yuvBytes } as const;
type KernelName = keyof typeof FUNCTIONS;

export type Kernels = Readonly<Record<KernelName, Kernel>>;

let compiled: object | undefined | null;

/** The compiled kernels, or `undefined` where the engine has no WebAssembly SIMD. */
const kernelModule = (): object | undefined => {
  if (compiled === undefined) {
    const code = assemble(Object.values(FUNCTIONS).map((make) => make()));
    compiled =
      typeof WebAssembly === 'object' && WebAssembly.validate(code) ? new WebAssembly.Module(code) : null;
  }
  return compiled ?? undefined;
};

/** True where the SIMD kernels can run. */
export const hasSimd = (): boolean => kernelModule() !== undefined;

/** The kernels over `memory`; `undefined` where the engine has no WebAssembly SIMD. */
export const instantiateKernels = (memory: WasmMemory): Kernels | undefined => {
  const program = kernelModule();
  if (program === undefined) return undefined;
  const { exports } = new WebAssembly.Instance(program, { env: { memory } });
  const isThere = Object.keys(FUNCTIONS).every((name) => typeof exports[name] === 'function');
  return isThere ? (exports as Kernels) : undefined;
};
