// Where the public test data is, when it is there: it is never committed.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot } from '../src/system/index.js';

/** The path of `name` below the folder of test data (`BITLANE_TEST_DATA`, or beside the repository); `undefined` where it is absent. */
export const sharedData = (...name: string[]): string | undefined =>
  [process.env['BITLANE_TEST_DATA'], join(packageRoot, '..', 'shared', 'data')]
    .filter((root) => root !== undefined)
    .map((root) => join(root, ...name))
    .find((path) => existsSync(path));
