// The significance map: what rounding each component alone does to a model, as a type and as a file.
import { readFileSync, statSync } from 'node:fs';
import { z } from 'zod';
import { BitlaneError, messageOf } from '../errors.js';
import { artifactIdSchema } from '../registry/index.js';
import { writeFileAtomic } from '../system/index.js';

const name = z.string().min(1).max(1024);
const className = z.string().min(1).max(64);
const size = z.number().nonnegative();

const spread = (of: z.ZodNumber) => z.strictObject({ mean: of, low: of, high: of });

const measures = {
  /** S_c as the paper writes it: mean change of the classification loss, with its 95 % interval. With labels only. */
  signed: spread(z.number()).optional(),
  /** Mean absolute change of that loss. With labels only. */
  absolute: size.optional(),
  /** Mean absolute change of the margin: the logit of the right class less the best other one of its group. With labels only. */
  margin: size.optional(),
  /** Mean KL(M || M'_c) of the class distribution within the critical group, with its 95 % interval. */
  divergence: spread(size),
  /** Over all objects, critical or not. */
  guards: z.strictObject({
    /** Mean KL of the objectness (of the highest class score where a head has none). */
    objectness: size,
    /** Mean 1 - IoU of the box with itself. */
    box: size,
    /** Mean KL of the distribution over all classes, the critical ones taken together as their groups. */
    others: size,
  }),
  /**
   * The same by Hellinger's distance d of each object, 4 (mean d)^2: to second order a divergence, but no few objects can dominate
   * it. The box as (mean 1 - IoU)^2. All add up like variances. What allocations are made by.
   */
  robust: z.strictObject({ divergence: spread(size), objectness: size, box: size, others: size }),
  /** ||y' - y|| / ||y|| of the component's output. */
  outputError: size,
};

const weightMeasuresSchema = z.strictObject({
  ...measures,
  /** 1/2 sum over weights of the empirical Fisher information times the squared error: knows of no critical classes. */
  fisher: size.optional(),
  /** The average Hessian trace times the squared error of all weights (HAWQ-V2). */
  hawq: size.optional(),
  /** ||w' - w|| / ||w||. */
  relativeWeightError: size,
});

const activationMeasuresSchema = z.strictObject({
  ...measures,
  /** ||x' - x|| / ||x|| of the component's input. */
  relativeInputError: size,
});

/** One entry for each bit-width that was measured. */
const byBits = <T extends z.ZodType>(of: T) =>
  z.strictObject({ '2': of.optional(), '4': of.optional(), '8': of.optional() });

const correlation = z.number().min(-1).max(1).nullable();

/** Split-half rank correlation (Spearman) of each measure over the components; null where it has no meaning. */
const reliabilitySchema = z.strictObject({
  signed: correlation.optional(),
  absolute: correlation.optional(),
  margin: correlation.optional(),
  divergence: correlation,
  /** Of the robust divergence. */
  robust: correlation,
});

/** What rounding each component alone does to a model. */
export const significanceSchema = z.strictObject({
  format: z.literal('bitlane-significance'),
  version: z.literal(2),
  /** The FP32 model's id. */
  model: artifactIdSchema,
  data: z.strictObject({
    name: z.string().max(4096),
    split: z.string().max(64),
    /** Pictures that were looked at. */
    pictures: z.int().nonnegative(),
    /** SHA-256 over the pictures and labels that were used. */
    fingerprint: artifactIdSchema,
  }),
  granularity: z.literal('layer'),
  critical: z.strictObject({
    classes: z.array(className),
    pairs: z.array(z.tuple([className, className])),
    /** Connected components of the pairs. */
    groups: z.array(z.array(className).min(2)),
    /** Objects of D_crit. */
    objects: z.int().nonnegative(),
    /** All objects that the model found: what the guards look at. */
    allObjects: z.int().nonnegative(),
    /** False: objects are the model's own detections. */
    labelled: z.boolean(),
    /** Costs of single confusions: `a` taken for `b`. */
    costs: z.array(z.strictObject({ truth: className, predicted: className, cost: z.number().positive() })),
  }),
  /** Of the class distribution; fitted where there are labels. */
  temperature: z.number().positive(),
  rounding: z.enum(['nearest', 'gptq']),
  /** In the model's order. */
  components: z.record(
    name,
    z.strictObject({
      weights: byBits(weightMeasuresSchema),
      activations: byBits(activationMeasuresSchema),
    }),
  ),
  reliability: z.strictObject({
    weights: byBits(reliabilitySchema),
    activations: byBits(reliabilitySchema),
  }),
});

export type SignificanceMap = z.infer<typeof significanceSchema>;
export type WeightMeasures = z.infer<typeof weightMeasuresSchema>;
export type ActivationMeasures = z.infer<typeof activationMeasuresSchema>;
export type Reliability = z.infer<typeof reliabilitySchema>;
/** Bit-widths of a map's entries. */
export type MapBits = '2' | '4' | '8';

const MAX_BYTES = 256 * 2 ** 20;

const bad = (message: string, cause?: unknown): BitlaneError =>
  new BitlaneError('BAD_CONFIG', message, { cause });

/**
 * A significance map from the text of its file.
 *
 * @param what names the file in errors
 * @throws BitlaneError `BAD_CONFIG` naming the entry and the rule it breaks
 */
export const parseSignificance = (text: string, what: string): SignificanceMap =>
  checked(significanceSchema, jsonOf(text, what), what);

/** @throws BitlaneError `BAD_CONFIG` */
export const jsonOf = (text: string, what: string): unknown => {
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    throw bad(`${what} is not JSON: it is truncated or no significance map`, error);
  }
};

/** @throws BitlaneError `BAD_CONFIG` naming the entry and the rule it breaks */
export const checked = <T extends z.ZodType>(schema: T, value: unknown, what: string): z.infer<T> => {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  const path = issue?.path.join('.') ?? '';
  const rule = issue?.message ?? 'it does not follow the schema';
  throw bad(`${what} is no significance map: ${path === '' ? rule : `${path}: ${rule}`}`);
};

/**
 * Reads a significance map.
 *
 * @throws BitlaneError `BAD_CONFIG` where there is none, or it breaks the schema
 */
export const readSignificance = (path: string): SignificanceMap => parseSignificance(readMap(path), path);

/**
 * The text of a map's file.
 *
 * @throws BitlaneError `BAD_CONFIG` where there is none
 */
export const readMap = (path: string): string => {
  try {
    const found = statSync(path);
    if (!found.isFile()) throw new Error('it is no file');
    if (found.size > MAX_BYTES) throw new Error(`it is larger than ${MAX_BYTES} bytes`);
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw bad(`the significance map ${path} cannot be read: ${messageOf(error)}`, error);
  }
};

/** Writes a significance map as one step. */
export const writeSignificance = (path: string, map: SignificanceMap): void =>
  writeFileAtomic(path, `${JSON.stringify(map)}\n`);
