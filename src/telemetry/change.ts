// A configuration that is being taken up: accepted or rejected, once.
import type { Config, ConfigDiff } from '../config/index.js';

/** A configuration to take up while running; exactly one of `accept` and `reject` is to be called. */
export interface DesiredChange {
  readonly version: number;
  readonly config: Config;
  readonly previous: Config;
  readonly diff: ConfigDiff;
  accept(): void;
  /** Takes it back: what was in force before stays (the caller has undone, or not begun, the change). */
  reject(errors: readonly string[]): void;
}

/**
 * A change whose first `accept` or `reject` counts; those that come later do nothing.
 *
 * @param settle without errors it is accepted
 */
export const openChange = (
  about: Pick<DesiredChange, 'version' | 'config' | 'previous' | 'diff'>,
  settle: (errors: readonly string[] | undefined) => void,
): DesiredChange => {
  let isOpen = true;
  const once = (errors: readonly string[] | undefined): void => {
    if (!isOpen) return;
    isOpen = false;
    settle(errors);
  };
  return {
    ...about,
    accept: () => once(undefined),
    reject: (errors) => once(errors.length > 0 ? errors : ['it could not be taken up']),
  };
};
