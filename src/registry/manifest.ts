// What an artifact says of itself: `manifest.json`, and the detector it describes.
import { z } from 'zod';
import { allocationSchema } from './allocation.js';

/** SHA-256 of `model.onnx`, lower-case hex: an artifact's id. */
export const artifactIdSchema = z
  .string()
  .regex(/^[0-9a-f]{64}$/, 'must be 64 lower-case hexadecimal digits');

const side = z.int().min(32).max(4096);
const name = z.string().min(1).max(256);

/** How a frame becomes the model's input tensor: float32 [1, 3, H, W], or uint8 [1, H, W, 3]. */
export const inputSpecSchema = z
  .strictObject({
    /** Name of the graph input. */
    name,
    width: side,
    height: side,
    colourOrder: z.enum(['rgb', 'bgr']),
    /**
     * `bytes`: the model takes uint8 [1, H, W, 3], pixels as they are, in `colourOrder`, and what `scale` makes of them is done in the
     * graph. Absent: it takes floats, plane by plane.
     */
    format: z.literal('bytes').optional(),
    /** tensor = (pixel - mean) * scale, per channel in `colourOrder`; pixels are 0..255. */
    mean: z.tuple([z.number(), z.number(), z.number()]).default([0, 0, 0]),
    scale: z.tuple([z.number(), z.number(), z.number()]).default([1, 1, 1]),
    /** Where the picture sits in the input: `top-left`, `centre`, or `stretch` (aspect ratio not kept). */
    letterbox: z.enum(['top-left', 'centre', 'stretch']),
    /** Value (0..255) of the pixels around the picture. */
    pad: z.int().min(0).max(255).default(114),
  })
  .refine(
    ({ format, mean, scale: [first, ...others] }) =>
      format === undefined ||
      (mean.every((value) => value === 0) && others.every((value) => value === first)),
    'an input of bytes has mean 0 and one scale for all channels',
  );
export type InputSpec = z.infer<typeof inputSpecSchema>;

const strides = z.array(z.int().min(1).max(256)).min(1).max(8);

/** How the model's outputs become boxes. */
export const headSpecSchema = z.discriminatedUnion('type', [
  z.strictObject({
    /**
     * One output [1, anchors, 5 + classes]: x, y, w, h, objectness, class scores (Ge et al. 2021). `raw`: centre = (xy + grid) *
     * stride, size = exp(wh) * stride; `decoded`: the graph has done that.
     */
    type: z.literal('yolox'),
    output: name,
    boxes: z.enum(['raw', 'decoded']).default('raw'),
    strides: strides.default([8, 16, 32]),
  }),
  z.strictObject({
    /** One output [1, 4 + classes, anchors] or its transpose: cx, cy, w, h in input pixels, class scores (YOLOv8, v11). */
    type: z.literal('yolov8'),
    output: name,
    layout: z.enum(['channels-first', 'channels-last']).default('channels-first'),
  }),
  z.strictObject({
    /** Rows [1, N, 6]: x1, y1, x2, y2 in input pixels, score, class; suppression already done in the graph. */
    type: z.literal('end-to-end'),
    output: name,
  }),
  z.strictObject({
    /**
     * Distribution boxes (Li et al. 2020, generalized focal loss): per stride class scores [1, H*W, classes] and
     * distances [1, H*W, 4 * (regMax + 1)]; `outputs` in the order of `strides`. NanoDet and PicoDet.
     */
    type: z.literal('gfl'),
    layout: z.enum(['split', 'joined']),
    /** `split`: class outputs; `joined`: outputs [1, anchors, classes + 4 * (regMax + 1)] (one for all strides, or one a stride). */
    outputs: z.array(name).min(1).max(8),
    /** `split` only: distance outputs. */
    boxOutputs: z.array(name).max(8).default([]),
    strides: strides.default([8, 16, 32]),
    regMax: z.int().min(1).max(64).default(7),
    /** Whether the scores are probabilities already. */
    scores: z.enum(['sigmoid-applied', 'logits']).default('sigmoid-applied'),
    /** Where an anchor point lies in its cell: (x + offset) * stride. */
    cellOffset: z.union([z.literal(0), z.literal(0.5)]).default(0.5),
  }),
]);
export type HeadSpec = z.infer<typeof headSpecSchema>;

/** Everything needed to serve a model. */
export const detectorSpecSchema = z.strictObject({
  input: inputSpecSchema,
  head: headSpecSchema,
  /** Class names in the model's order. */
  classes: z.array(z.string().min(1).max(64)).min(1).max(1000),
});
export type DetectorSpec = z.infer<typeof detectorSpecSchema>;

/** Whether two models see the same pictures and say the same of them, whatever form they take the pictures in. */
export const isSameDetector = (a: DetectorSpec, b: DetectorSpec): boolean => {
  const [first, second] = [a, b].map(({ input: { format: _format, ...input }, head, classes }) =>
    JSON.stringify([input, head, classes]),
  );
  return first === second;
};

/** A measured figure is worth nothing without the device it was measured on. */
export const measuredSchema = z.strictObject({
  device: z.string(),
  measuredAt: z.iso.datetime(),
  /** One run of the model alone: the median. */
  latencyMs: z.number().nonnegative().optional(),
  /** The parent's, measured in turns with it. */
  parentLatencyMs: z.number().nonnegative().optional(),
  /** Threads of the model in both. */
  threads: z.int().positive().optional(),
  memoryMb: z.number().nonnegative().optional(),
});

const precision = z.number().min(0).max(1).nullable();

/** Average precision on labelled pictures, beside the parent's on the same; `null` where there was nothing to find. */
export const validationSchema = z.strictObject({
  data: z.string().max(4096),
  split: z.string().max(64),
  pictures: z.int().nonnegative(),
  map50: precision,
  map5095: precision,
  parentMap50: precision,
  parentMap5095: precision,
  /** Parent's mAP50 less this one's, with a 95 % interval over pictures. */
  map50Drop: z.strictObject({
    value: z.number().nullable(),
    low: z.number().nullable(),
    high: z.number().nullable(),
  }),
});

/** What the quantizer saw, and how it rounded. */
export const calibrationSchema = z.strictObject({
  data: z.string().max(4096),
  split: z.string().max(64),
  pictures: z.int().positive(),
  /** How ranges of activations were found, or `dynamic`; absent where none were needed. */
  ranges: z.string().max(64).optional(),
  rounding: z.string().max(64),
  /** Ranges of channels were evened out between layers; biases take back what rounding does to means. */
  equalized: z.boolean().optional(),
  biasCorrected: z.boolean().optional(),
  /** 8-bit weights hold 7 bits: exact on processors without 8-bit dot products. */
  reduceRange: z.boolean(),
  /** Layers of int8 execution whose function is computed in FP32. */
  floatFunctions: z.array(z.string().max(1024)).max(100_000).optional(),
});

/** What the artifact had to stay within. */
export const budgetSchema = z
  .strictObject({
    modelBytes: z.number().positive(),
    latencyMs: z.number().positive(),
    memoryMb: z.number().positive(),
  })
  .partial();

const byBits = <T extends z.ZodType>(of: T) => z.partialRecord(z.enum(['2', '4', '8']), of);

/** What the bits were given by: how far each layer's rounding alone moved the critical classes. */
export const significanceSummarySchema = z.strictObject({
  objective: z.string().max(64),
  pairs: z.array(z.tuple([z.string().max(64), z.string().max(64)])).max(10_000),
  objects: z.int().nonnegative(),
  pictures: z.int().nonnegative(),
  labelled: z.boolean(),
  /** Split-half rank correlation of the (robust) divergence, by bits. */
  reliability: byBits(z.number().min(-1).max(1).nullable()),
  /** Robust divergence of each layer, by bits. */
  divergence: z.record(z.string().max(1024), byBits(z.number().nonnegative())),
});

/** `manifest.json`. Parts that later steps fill in are optional. */
export const manifestSchema = z.strictObject({
  schema: z.literal(1),
  id: artifactIdSchema,
  parentId: artifactIdSchema.nullable().default(null),
  name: z.string().min(1).max(128),
  createdAt: z.iso.datetime(),
  /** Version of bitlane that wrote the artifact. */
  createdBy: z.string().max(64),
  modelBytes: z.int().positive(),
  detector: detectorSpecSchema,
  measured: z.array(measuredSchema).default([]),
  allocation: allocationSchema.optional(),
  calibration: calibrationSchema.optional(),
  validation: z.array(validationSchema).optional(),
  budget: budgetSchema.optional(),
  significance: significanceSummarySchema.optional(),
  /** Where the weights came from, and under which licence. */
  origin: z
    .strictObject({ source: z.string().max(512), licence: z.string().max(128) })
    .partial()
    .default({}),
});
export type Manifest = z.infer<typeof manifestSchema>;
export type Measured = z.infer<typeof measuredSchema>;
export type Validation = z.infer<typeof validationSchema>;
