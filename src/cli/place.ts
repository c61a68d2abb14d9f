// Where the daemon of this device keeps its things: from its configuration file, or the defaults.
import { existsSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import { configSchema, loadConfig } from '../config/index.js';

/** Where the service's configuration lies. */
export const DEFAULT_CONFIG = '/etc/bitlane/bitlane.yaml';

export interface Place {
  readonly stateDir: string;
  readonly runtimeDir: string;
}

export interface PlaceOptions {
  readonly config?: string;
  readonly state?: string;
}

/**
 * @param options `state` wins over the configuration file; without either the service's file is taken, where there is one
 * @throws ConfigError when the configuration file is bad
 */
export const findPlace = (options: PlaceOptions): Place => {
  const file = options.config ?? (existsSync(DEFAULT_CONFIG) ? DEFAULT_CONFIG : undefined);
  const { shape } = configSchema;
  const fromFile =
    file === undefined || (options.state !== undefined && options.config === undefined)
      ? { stateDir: shape.stateDir.parse(undefined), runtimeDir: shape.runtimeDir.parse(undefined) }
      : loadConfig(file).config;
  return {
    stateDir: resolve(options.state ?? fromFile.stateDir),
    runtimeDir: resolve(fromFile.runtimeDir),
  };
};

/**
 * Before something is written to the state folder: root (`sudo bitlane ...`) becomes the folder's owner for good, so that what is
 * written belongs to the daemon's user and can be read by it.
 */
export const becomeOwner = (stateDir: string): void => {
  const owner = statSync(stateDir, { throwIfNoEntry: false });
  if (owner === undefined || owner.uid === 0 || process.getuid?.() !== 0) return;
  process.setgroups?.([owner.gid]);
  process.setgid?.(owner.gid);
  process.setuid?.(owner.uid);
};
