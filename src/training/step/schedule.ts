// The learning rate over the steps of a run.

export interface Schedule {
  /** The highest rate. */
  readonly rate: number;
  /** Steps of the whole run. */
  readonly steps: number;
  /** Steps at the start over which the rate rises from almost nothing (default 0). */
  readonly warmUp?: number;
  /** Steps behind the rise at the full rate (default 0). */
  readonly hold?: number;
  /** What of the rate is left at the end (default 0.05). */
  readonly last?: number;
}

/**
 * The rate of a step: up in a line, held, then down along half a cosine.
 *
 * @param step from 0; behind the last one the rate stays
 */
export const rateAt = (
  step: number,
  { rate, steps, warmUp = 0, hold = 0, last = 0.05 }: Schedule,
): number => {
  if (step < warmUp) return (rate * (step + 1)) / warmUp;
  const falling = Math.max(1, steps - 1 - warmUp - hold);
  const done = Math.min(1, Math.max(0, step - warmUp - hold) / falling);
  return rate * (last + (1 - last) * 0.5 * (1 + Math.cos(Math.PI * done)));
};
