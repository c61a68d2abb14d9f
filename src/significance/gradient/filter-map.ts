// The map by filter: what rounding each output channel alone does to a model, as a type and as a file.
import { z } from 'zod';
import { significanceSchema } from '../map.js';

const { format, version, model, data, critical, temperature, rounding } = significanceSchema.shape;

const size = z.number().nonnegative();
/** A value for each output channel. */
const sizes = z.array(size).min(1);

const measuresSchema = z.strictObject({
  /** Change of the classification loss: S_c as the paper writes it. With labels only. */
  signed: z.array(z.number()).optional(),
  /** Mean KL(M || M'_c) within the critical group. */
  divergence: sizes,
  /** 4 (mean Hellinger distance)^2 of the same: what allocations are made by. */
  robust: sizes,
  /** All objects, to second order; 0 where they were not looked at. */
  objectness: sizes,
  /** Mean square of the shifts of the box's edges, by its width and height. */
  box: sizes,
  others: sizes,
  /** ||w' - w|| of the filter by ||w|| of its whole layer: squares add up to those of the layer. */
  relativeWeightError: sizes,
  /** 1/2 sum of the empirical Fisher information of each weight times its squared error: knows of no critical classes. */
  fisher: sizes.optional(),
  /** The layer's average Hessian trace times the squared error (HAWQ-V2). */
  hawq: sizes.optional(),
});

const correlation = z.number().min(-1).max(1).nullable();

const byBits = <T extends z.ZodType>(of: T) =>
  z.strictObject({ '2': of.optional(), '4': of.optional(), '8': of.optional() });

/** What rounding each filter alone does to a model. */
export const filterMapSchema = z
  .strictObject({
    format,
    version,
    model,
    data,
    granularity: z.literal('channel'),
    critical,
    temperature,
    rounding,
    /** In the model's order. Components that reach no output are zero in everything but their own errors. */
    components: z.record(z.string().min(1).max(1024), z.strictObject({ weights: byBits(measuresSchema) })),
    /** Filters whose divergence, robust form and signed change are measured exactly, by component. */
    exact: z.record(z.string(), z.array(z.int().nonnegative())),
    /** Split-half rank correlation of each measure over all filters. */
    reliability: z.strictObject({
      weights: byBits(
        z.strictObject({ signed: correlation.optional(), divergence: correlation, robust: correlation }),
      ),
    }),
    /** Rank correlation of estimates with exact values, over filters that were measured exactly. */
    agreement: byBits(z.strictObject({ divergence: correlation, signed: correlation.optional() })),
  })
  .superRefine(({ components }, context) => {
    for (const [name, { weights }] of Object.entries(components)) {
      const lengths = Object.values(weights).flatMap((measures) =>
        Object.values(measures ?? {}).flatMap((values) => values?.length ?? []),
      );
      if (new Set(lengths).size > 1) {
        context.addIssue({
          code: 'custom',
          path: ['components', name],
          message: 'every measure must have a value for each output channel',
        });
      }
    }
  });

export type FilterMap = z.infer<typeof filterMapSchema>;
export type FilterMeasures = z.infer<typeof measuresSchema>;
