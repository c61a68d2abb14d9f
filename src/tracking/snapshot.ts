// What the counts look like when they are put away: versioned, validated when they are taken up again.
import { z } from 'zod';

const ms = z.number().min(-8.64e15).max(8.64e15);
const label = z.string().min(1).max(256);

export const countRowSchema = z.strictObject({
  line: label,
  direction: label,
  className: label,
  count: z.int().min(1),
});
/** Vehicles of one class over one line in one direction. */
export type CountRow = z.infer<typeof countRowSchema>;

export const seriesSnapshotSchema = z
  .strictObject({
    seconds: z.int().min(1).max(86_400),
    era: z.int().min(0),
    /** Everything before is closed; `null` before the first moment. */
    closedUntilMs: ms.nullable(),
    open: z
      .array(
        z.strictObject({
          startMs: ms,
          observedMs: z.number().min(0).max(8.64e15),
          counts: z.array(countRowSchema).max(100_000),
        }),
      )
      .max(10_000),
  })
  .refine(
    ({ seconds, closedUntilMs, open }) =>
      open.every(
        ({ startMs }) =>
          startMs % (seconds * 1000) === 0 && closedUntilMs !== null && startMs >= closedUntilMs,
      ),
    'open intervals must be aligned to the clock and not lie before closedUntilMs',
  )
  .refine(
    ({ open }) => new Set(open.map(({ startMs }) => startMs)).size === open.length,
    'must not hold an interval twice',
  );
export type SeriesSnapshot = z.infer<typeof seriesSnapshotSchema>;

export const countSnapshotSchema = z
  .strictObject({ schema: z.literal(1), series: z.array(seriesSnapshotSchema).max(16) })
  .refine(
    ({ series }) => new Set(series.map(({ seconds }) => seconds)).size === series.length,
    'must not hold an interval length twice',
  );
export type CountSnapshot = z.infer<typeof countSnapshotSchema>;
