// The public test data, for tests: those that need it are skipped without it.
import { sharedData } from '../../scripts/test-data.js';

export { sharedData };

/** For tap's `skip` option: `false` when the data is there, else the reason. */
export const skipWithout = (...name: string[]): string | false =>
  sharedData(...name) === undefined
    ? `test data ${name.join('/')} is absent (set BITLANE_TEST_DATA to the folder that holds it)`
    : false;

/** The path of `name`; throws where it is absent. For use inside tests guarded by {@link skipWithout}. */
export const requireData = (...name: string[]): string => {
  const path = sharedData(...name);
  if (path === undefined) throw new Error(`test data ${name.join('/')} is absent`);
  return path;
};
