// How much is generated: `npm test` takes the counts as they stand, `npm run fuzz` many times as much.

const scale = Number(process.env['BITLANE_FUZZ_SCALE'] ?? '1');

/** A count of generated inputs, or a deadline for them, times the scale of this run. */
export const scaled = (count: number): number =>
  Number.isFinite(scale) && scale > 0 ? Math.max(1, Math.round(count * scale)) : count;
