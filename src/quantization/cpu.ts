// What the processor says of its integer kernels.
import type { DeviceDescription } from '../evaluation/index.js';

const DOT_PRODUCTS = ['avx512_vnni', 'avx_vnni', 'amx_int8', 'asimddp', 'i8mm'] as const;

/** Whether 8-bit products are summed in 32 bits: without that, 8-bit weights saturate in 16 bits on x64 and 7-bit ones do not. */
export const hasIntegerDot = ({ features, arch }: Pick<DeviceDescription, 'features' | 'arch'>): boolean =>
  arch !== 'x64' || DOT_PRODUCTS.some((feature) => features.includes(feature));
