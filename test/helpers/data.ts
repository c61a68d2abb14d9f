// Where the public test data is, when it is there: never committed, so tests that need it are skipped without it.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot } from '../../src/system/index.js';

const roots = [process.env['BITLANE_TEST_DATA'], join(packageRoot, '..', 'shared', 'data')];

/** The path of `name` below the data folder, or `undefined` where it is absent. */
export const sharedData = (...name: string[]): string | undefined =>
  roots
    .filter((root) => root !== undefined)
    .map((root) => join(root, ...name))
    .find((path) => existsSync(path));

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
