// When an adaptation begins by itself. Pure: time comes in from outside.
import type { AdaptationConfig } from '../../config/index.js';
import { foldName } from '../../registry/index.js';

/** A time of day, `HH:MM`, in minutes. */
const minutesOf = (time: string): number => {
  const [hours = 0, minutes = 0] = time.split(':').map(Number);
  return 60 * hours + minutes;
};

/** Whether the clock on the wall shows a time of one of the windows; a window may go over midnight. Without windows: always. */
export const inWindow = (windows: AdaptationConfig['schedule'], now: Date): boolean => {
  if (windows.length === 0) return true;
  const at = 60 * now.getHours() + now.getMinutes();
  return windows.some(({ from, to }) => {
    const [begin, end] = [minutesOf(from), minutesOf(to)];
    return begin < end ? at >= begin && at < end : at >= begin || at < end;
  });
};

export type ClassPair = readonly [string, string];

const keyOf = ([a, b]: ClassPair): string => [foldName(a), foldName(b)].sort().join(':');

/** Whether other pairs are critical now than those that the bits were given for. */
export const hasDrifted = (then: readonly ClassPair[], now: readonly ClassPair[]): boolean => {
  const [before, after] = [new Set(then.map(keyOf)), new Set(now.map(keyOf))];
  return before.size !== after.size || [...after].some((key) => !before.has(key));
};

/** What was so for how long. */
export interface Moment {
  readonly now: Date;
  /** When the last adaptation ended (milliseconds since the epoch); `undefined` where there was none. */
  readonly lastEndMs: number | undefined;
  /** Pairs that the bits of the active model were given for; `undefined` where they were given for none. */
  readonly adaptedTo: readonly ClassPair[] | undefined;
  /** Pairs that are critical by what was observed. */
  readonly critical: readonly ClassPair[];
  /** For how long the device has been throttled without a pause. */
  readonly throttledMs: number;
  /** The budget is another one than the active model was made for. */
  readonly budgetChanged: boolean;
}

const DAY_MS = 86_400_000;
/** For what cannot wait for the next scheduled adaptation. */
const SOONER = 0.1;

/** Why an adaptation should begin now, if it should. */
export const dueTrigger = (
  config: AdaptationConfig,
  { now, lastEndMs, adaptedTo, critical, throttledMs, budgetChanged }: Moment,
): 'schedule' | 'drift' | 'heat' | 'budget' | undefined => {
  if (!config.enabled || !inWindow(config.schedule, now)) return undefined;
  const everyMs = config.everyDays * DAY_MS;
  const ageMs = lastEndMs === undefined ? Infinity : now.getTime() - lastEndMs;
  // An end that lies far ahead is of a clock that was wrong, then or now; a device without a battery starts a little behind.
  const sinceMs = ageMs < -SOONER * everyMs ? Infinity : ageMs;
  if (sinceMs < SOONER * everyMs) return undefined;
  if (budgetChanged) return 'budget';
  if (config.onHeat && throttledMs >= config.heatMinutes * 60_000) return 'heat';
  if (config.onDrift && critical.length > 0 && hasDrifted(adaptedTo ?? [], critical)) return 'drift';
  return config.schedule.length > 0 && sinceMs >= everyMs ? 'schedule' : undefined;
};
