// The device twin: which configuration is wanted from afar, which is in force, and the way back when it does no good.
import type { Config, ConfigDiff, LocalConfig } from '../config/index.js';
import type { KeyValue } from '../store/index.js';
import type { Log } from '../system/index.js';
import type { ReportedConfig } from './topics/index.js';

export interface ConfigTwinOptions {
  readonly store: KeyValue;
  readonly log: Log;
  readonly bootId: string;
  readonly local: LocalConfig;
}

export interface BootedConfig {
  readonly config: Config;
  /** Version of the remote change set in force; 0 = the local file alone. */
  readonly version: number;
}

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

export class ConfigTwin {
  readonly #options: ConfigTwinOptions;
  constructor(options: ConfigTwinOptions) {
    this.#options = options;
  }
  /**
   * First thing at a start: the configuration in force, and one attempt counted against a change set that is not confirmed
   * yet. After two attempts without {@link confirm} the change set before it is taken instead, and reported.
   */
  boot(): BootedConfig {
    throw new Error(`not there yet: ${this.#options.bootId}`);
  }
  /** The daemon runs well with this configuration: it becomes the one to fall back to. Call it once, a minute after the start. */
  confirm(): void {}
  /** A clean stop: the attempt of this start does not count as a crash. */
  stopped(): void {}
  /** The local file was read again. @returns what changes; @throws ConfigError when file and change set do not fit together */
  setLocal(_local: LocalConfig): DesiredChange | undefined {
    return undefined;
  }
  /** Judges a payload of `config/desired`. @returns a change to take up, or undefined when there is none */
  propose(_payload: Uint8Array): DesiredChange | undefined {
    return undefined;
  }
  get config(): Config {
    return this.#options.local.config;
  }
  get reported(): ReportedConfig | undefined {
    return undefined;
  }
}
