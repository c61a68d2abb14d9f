// The rows of the comparison: what each model is made by.
import type { RangeMethod, Rounding } from '../../quantization/index.js';
import type { WeightMethod } from '../../training/index.js';

/** How bits are given to layers or filters, at equal bytes. */
export const SEARCHES = [
  'relativeWeightError',
  'hawq',
  'haq',
  'fisher',
  'paperLayers',
  'paperFilters',
  'product',
] as const;
export type Search = (typeof SEARCHES)[number];

export const UNIFORM_BITS = [8, 4, 3] as const;
export type UniformBits = (typeof UNIFORM_BITS)[number];

/** What calibration looks at. */
export type Calibration = 'pictures' | 'noise' | 'distilled';

export const FAMILIES = [
  'reference',
  'rounded to 8 bits',
  'without data',
  'rounded',
  'trained',
  'mixed',
  'mixed and trained',
] as const;
export type Family = (typeof FAMILIES)[number];

export interface Row {
  /** Letters, digits and `-`. */
  readonly id: string;
  readonly family: Family;
  readonly label: string;
  /** Left out: FP32. */
  readonly bits?: { readonly uniform: UniformBits } | { readonly search: Search };
  /** `weights`: kernels compute in FP32; `all`: activations have 8 bits too (default: what the setting says). */
  readonly quantized?: 'weights' | 'all';
  readonly rounding?: Rounding;
  readonly ranges?: RangeMethod;
  readonly calibration?: Calibration;
  /** Equalization of channels and correction of biases (Nagel 2019). */
  readonly dataFree?: boolean;
  /** Trained on, by this way of meeting the grid; `floats` is met by FP32. */
  readonly training?: WeightMethod | 'floats';
  /** What comes into layers is rounded to so many bits (the first and the last 8). */
  readonly inputBits?: 4;
  /** Repeated with every seed. */
  readonly isRandom: boolean;
}

const SEARCH_LABELS: Readonly<Record<Search, string>> = {
  relativeWeightError: 'relative weight error',
  hawq: 'HAWQ-V2 (Hessian trace)',
  haq: 'HAQ (reinforcement learning)',
  fisher: 'Fisher information',
  paperLayers: "the paper's S_c, layers",
  paperFilters: "the paper's S_c, layers and channels",
  product: "bitlane's default",
};

const eightBits = (ranges: RangeMethod, label: string): Row => ({
  id: `ptq8-${ranges}`,
  family: 'rounded to 8 bits',
  label: `8 bits, ${label}`,
  bits: { uniform: 8 },
  quantized: 'all',
  ranges,
  isRandom: false,
});

const withoutData = (id: string, label: string, more: Partial<Row>): Row => ({
  id,
  family: 'without data',
  label,
  bits: { uniform: 8 },
  quantized: 'all',
  // What they calibrate with is drawn.
  isRandom: true,
  ...more,
});

const METHODS = [
  ['dorefa', 'DoReFa'],
  ['lsq', 'LSQ'],
  ['tqt', 'TQT'],
] as const;

/** All rows, in the order of the table. */
export const ROWS: readonly Row[] = [
  { id: 'fp32', family: 'reference', label: 'FP32', isRandom: false },
  { id: 'fp32-trained', family: 'reference', label: 'FP32, trained on', training: 'floats', isRandom: true },
  eightBits('min-max', 'min-max'),
  eightBits('kl', 'KL (TensorRT)'),
  eightBits('percentile', 'percentile'),
  eightBits('aciq', 'ACIQ'),
  withoutData('dfq8-noise', '8 bits, ranges from noise', { calibration: 'noise' }),
  withoutData('dfq8-equalized', '8 bits, equalization and bias correction, noise', {
    calibration: 'noise',
    dataFree: true,
  }),
  withoutData('dfq8-distilled', '8 bits, ranges from distilled pictures (ZeroQ)', {
    calibration: 'distilled',
  }),
  {
    id: 'ptq4-nearest',
    family: 'rounded',
    label: '4 bits, nearest',
    bits: { uniform: 4 },
    rounding: 'nearest',
    isRandom: false,
  },
  {
    id: 'ptq4-gptq',
    family: 'rounded',
    label: '4 bits, error feedback',
    bits: { uniform: 4 },
    rounding: 'gptq',
    isRandom: false,
  },
  ...UNIFORM_BITS.flatMap((bits) =>
    METHODS.map(([training, name]): Row => ({
      id: `qat${bits}-${training}`,
      family: 'trained',
      label: `${bits === 3 ? '2 and 4' : bits} bits, ${name}`,
      bits: { uniform: bits },
      training,
      isRandom: true,
    })),
  ),
  {
    id: 'fqn4',
    family: 'trained',
    label: '4 bits, activations too (FQN)',
    bits: { uniform: 4 },
    quantized: 'weights',
    inputBits: 4,
    training: 'lsq',
    isRandom: true,
  },
  ...SEARCHES.map((search): Row => ({
    id: `mixed-${search}`,
    family: 'mixed',
    label: SEARCH_LABELS[search],
    bits: { search },
    rounding: 'gptq',
    isRandom: search === 'haq',
  })),
  ...SEARCHES.map((search): Row => ({
    id: `trained-${search}`,
    family: 'mixed and trained',
    label: `${SEARCH_LABELS[search]}, LSQ`,
    bits: { search },
    training: 'lsq',
    isRandom: true,
  })),
];
