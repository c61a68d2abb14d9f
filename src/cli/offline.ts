// The registry of a daemon that does not run.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { BitlaneError } from '../errors.js';
import { Registry } from '../registry/index.js';
import type { Cli } from './cli.js';
import { becomeOwner, type Place } from './place.js';

/** Looks at the installed models; takes no lock and makes no folder. */
export const look = async <T>(
  cli: Cli,
  place: Place,
  work: (registry: Registry) => Promise<T>,
): Promise<T> => {
  const registry = new Registry({ stateDir: place.stateDir, readOnly: true });
  for (const notice of await registry.start()) cli.log.warn(notice);
  try {
    return await work(registry);
  } finally {
    registry.stop();
  }
};

/**
 * Changes which of the installed models are there or used.
 *
 * @throws BitlaneError `NO_SUCH_MODEL` where there never was one: nothing is made then; `BUSY`
 */
export const change = async <T>(
  cli: Cli,
  place: Place,
  work: (registry: Registry) => Promise<T>,
): Promise<T> => {
  if (!existsSync(join(place.stateDir, 'models'))) {
    throw new BitlaneError('NO_SUCH_MODEL', `no model is installed in ${place.stateDir}`);
  }
  becomeOwner(place.stateDir);
  const registry = new Registry({ stateDir: place.stateDir, purpose: 'bitlane models' });
  for (const notice of await registry.start()) cli.log.warn(notice);
  try {
    return await work(registry);
  } finally {
    registry.stop();
  }
};
