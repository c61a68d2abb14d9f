// The device twin: which configuration is wanted from afar, which is in force, and the way back when it does no good.
import { type Config, ConfigError, diffConfig, layerConfig, type LocalConfig } from '../config/index.js';
import { BitlaneError, messageOf } from '../errors.js';
import type { KeyValue } from '../store/index.js';
import { Emitter, type Log } from '../system/index.js';
import { type DesiredChange, openChange } from './change.js';
import { parseDesired } from './desired.js';
import { turnedUnderMasks } from './masked-view.js';
import { MESSAGE_SCHEMA, type ReportedConfig } from './topics/index.js';
import {
  type ChangeSet,
  isSame,
  LOCAL_ONLY,
  readTakeUp,
  readTwinState,
  type TakeUp,
  type TwinState,
  writeTakeUp,
  writeTwinState,
} from './twin-state.js';

/** Starts that an unconfirmed change set gets. */
const MAX_ATTEMPTS = 2;
const MAX_ERRORS = 32;
const MAX_ERROR_LENGTH = 1_000;

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

export interface TwinEvents {
  /** There is a new report. */
  reported: ReportedConfig;
  /** What is in force is another configuration, or another version, than before. */
  taken: undefined;
  /** The change that was being taken up is accepted or rejected. */
  settled: undefined;
}

const cameBefore = (version: number): string =>
  `version ${version} came before with other changes: raise the version`;

const problemsOf = (error: unknown): readonly string[] =>
  error instanceof ConfigError ? error.problems : [messageOf(error)];

export class ConfigTwin extends Emitter<TwinEvents> {
  readonly #options: ConfigTwinOptions;
  #local: LocalConfig;
  #config: Config;
  /** What this start began with: a difference in a key that needs a restart counts from here. */
  #booted: Config;
  #active: ChangeSet = LOCAL_ONLY;
  #state: TwinState = { wanted: LOCAL_ONLY, confirmed: LOCAL_ONLY, attempts: 0, failed: null };
  #reported: ReportedConfig | undefined;
  #isBusy = false;
  /** The remote change set that is being taken up, and what is to be told beside its outcome. */
  #pending: { readonly set: ChangeSet; readonly remarks: Set<string> } | undefined;

  constructor(options: ConfigTwinOptions) {
    super();
    this.#options = options;
    this.#local = options.local;
    this.#config = options.local.config;
    this.#booted = options.local.config;
  }

  get config(): Config {
    return this.#config;
  }

  get reported(): ReportedConfig | undefined {
    return this.#reported;
  }

  /** A change waits for `accept` or `reject`. */
  get isBusy(): boolean {
    return this.#isBusy;
  }

  /**
   * First thing at a start: the configuration in force, and one attempt counted against a change set that is not confirmed
   * yet. After two attempts without {@link confirm} the change set before it is taken instead, and reported.
   */
  boot(): BootedConfig {
    this.#state = readTwinState(this.#options.store, this.#options.log);
    const { wanted, confirmed, attempts } = this.#state;
    const isTrial = wanted.version !== confirmed.version;
    if (isTrial && attempts >= MAX_ATTEMPTS) {
      const reason = `version ${wanted.version} was taken back: ${attempts} starts with it did not last`;
      this.#options.log.error(reason);
      this.#save({ wanted: confirmed, confirmed, attempts: 0, failed: { ...wanted, reason } });
    }
    this.#open();
    if (isTrial && this.#active === wanted) this.#save({ ...this.#state, attempts: attempts + 1 });
    this.#booted = this.#config;
    return { config: this.#config, version: this.#active.version };
  }

  /** The newest change set that fits the local file. */
  #open(): void {
    const { wanted, confirmed, failed } = this.#state;
    let errors: readonly string[] = failed === null ? [] : [failed.reason];
    for (const set of [wanted, confirmed]) {
      try {
        this.#config = layerConfig(this.#local, set.changes);
        this.#active = set;
        this.#report(failed?.version ?? wanted.version, errors.length > 0 ? 'rejected' : 'applied', errors);
        return;
      } catch (error) {
        if (errors.length === 0) errors = problemsOf(error);
        this.#options.log.error(
          `remote configuration ${set.version} does not fit the local file: ${messageOf(error)}`,
        );
      }
    }
    this.#config = this.#local.config;
    this.#active = LOCAL_ONLY;
    this.#report(failed?.version ?? wanted.version, 'rejected', errors);
  }

  /** The daemon has run well with what is in force, from its start or since it was `taken`: it becomes the one to fall back to. */
  confirm(): void {
    const { wanted, confirmed, attempts } = this.#state;
    // A set that is stored but does not fit the local file has confirmed nothing, nor has one that waits for a restart.
    if (this.#active.version !== wanted.version || this.#waiting.length > 0) return;
    if (wanted.version === confirmed.version && attempts === 0) return;
    this.#save({ ...this.#state, confirmed: wanted, attempts: 0 });
  }

  /** A clean stop: the attempt of this start does not count as a crash. */
  stopped(): void {
    if (this.#pending !== undefined) this.#keepTakeUp(null);
    if (this.#state.attempts > 0) this.#save({ ...this.#state, attempts: this.#state.attempts - 1 });
  }

  /** The local file was read again. @returns what changes; @throws ConfigError when file and change set do not fit together */
  setLocal(local: LocalConfig): DesiredChange | undefined {
    if (this.#isBusy) {
      throw new BitlaneError('BUSY', 'another configuration is being taken up; try again when that is done');
    }
    const config = layerConfig(local, this.#active.changes);
    const take = (): void => {
      this.#local = local;
      this.#config = config;
      this.emit('taken', undefined);
    };
    const diff = diffConfig(this.#config, config);
    if (diff.changed.length === 0) {
      take();
      return undefined;
    }
    const refuse = (errors: readonly string[]): void =>
      this.#options.log.warn(`the local file is not taken up: ${errors.join('; ')}`);
    return this.#change({ version: this.#active.version, config, diff }, take, refuse);
  }

  /**
   * While a remote change set is being taken up: whether this payload of `config/desired` has its version and is dealt with
   * thereby. With the same changes it is nothing new; with others it is refused, which is told beside the outcome of the first.
   */
  isRepeated(payload: Uint8Array): boolean {
    const pending = this.#pending;
    const desired = parseDesired(payload);
    if (pending === undefined || !desired.ok || desired.set.version !== pending.set.version) return false;
    if (!isSame(desired.set, pending.set)) {
      const { version } = pending.set;
      this.#options.log.warn(`remote configuration ${version} came again with other changes: refused`);
      pending.remarks.add(cameBefore(version));
      this.#report(version, 'pending', [...pending.remarks]);
    }
    return true;
  }

  /** Judges a payload of `config/desired`. @returns a change to take up, or undefined when there is none */
  propose(payload: Uint8Array): DesiredChange | undefined {
    if (this.#isBusy) {
      throw new BitlaneError('BUSY', 'another configuration is being taken up; try again when that is done');
    }
    const desired = parseDesired(payload);
    if (!desired.ok) {
      this.#refuse(desired.version ?? 0, [desired.error]);
      return undefined;
    }
    const { set } = desired;
    if (!this.#isNews(set)) return undefined;
    try {
      const config = layerConfig(this.#local, set.changes);
      const inForce = { config: this.#config, set: this.#active, local: this.#local.config };
      const turned = turnedUnderMasks(inForce, set, config);
      if (turned !== undefined) throw new ConfigError('the remote change set', [turned]);
      return this.#takeUp(set, config);
    } catch (error) {
      this.#refuse(set.version, problemsOf(error));
      return undefined;
    }
  }

  /** Whether a change set is to be judged by what it changes; the report is made where it is not. */
  #isNews(set: ChangeSet): boolean {
    const { wanted, failed } = this.#state;
    if (failed !== null && isSame(set, failed)) {
      this.#refuse(set.version, [failed.reason]);
      return false;
    }
    if (isSame(set, this.#active)) {
      this.#reportActive();
      return false;
    }
    const newest = [this.#active, wanted, ...(failed === null ? [] : [failed])].reduce((a, b) =>
      b.version > a.version ? b : a,
    );
    if (set.version > newest.version || isSame(set, newest)) return true;
    if (set.version < newest.version) {
      this.#refuse(set.version, [
        `version ${set.version} is older than version ${newest.version}, which came before: raise the version`,
      ]);
    } else {
      this.#tellBeside(newest, cameBefore(set.version));
    }
    return false;
  }

  /** A refusal of other changes under the version of a set that came before: the outcome of that one stays. */
  #tellBeside(first: ChangeSet, sentence: string): void {
    const { failed } = this.#state;
    if (first === this.#active) {
      this.#options.log.warn(`remote configuration ${first.version} is refused: ${sentence}`);
      this.#reportActive([sentence]);
    } else this.#refuse(first.version, first === failed ? [failed.reason, sentence] : [sentence]);
  }

  #takeUp(set: ChangeSet, config: Config): DesiredChange | undefined {
    const diff = diffConfig(this.#config, config);
    const remarks = new Set<string>();
    const take = (): void => {
      this.#config = config;
      this.#active = set;
      const unsaved = this.#save({ ...this.#state, wanted: set, attempts: 0, failed: null });
      this.#reportActive([...unsaved, ...remarks]);
      this.emit('taken', undefined);
    };
    if (diff.changed.length === 0) {
      take();
      return undefined;
    }
    const begun = this.#takeUpsOf(set);
    if (begun >= MAX_ATTEMPTS) {
      const reason = `version ${set.version} was not taken up: ${begun} times the daemon ended while it was`;
      this.#save({ ...this.#state, failed: { ...set, reason } });
      this.#keepTakeUp(null);
      this.#refuse(set.version, [reason]);
      return undefined;
    }
    this.#keepTakeUp({ set, begun: begun + 1 });
    this.#report(set.version, 'pending', []);
    this.#pending = { set, remarks };
    const refuse = (errors: readonly string[]): void => this.#refuse(set.version, [...errors, ...remarks]);
    return this.#change({ version: set.version, config, diff }, take, refuse);
  }

  #change(
    about: Pick<DesiredChange, 'version' | 'config' | 'diff'>,
    take: () => void,
    refuse: (errors: readonly string[]) => void,
  ): DesiredChange {
    this.#isBusy = true;
    return openChange({ ...about, previous: this.#config }, (errors) => {
      this.#isBusy = false;
      if (this.#pending !== undefined) this.#keepTakeUp(null);
      this.#pending = undefined;
      if (errors === undefined) take();
      else refuse(errors);
      this.emit('settled', undefined);
    });
  }

  #refuse(version: number, errors: readonly string[]): void {
    this.#options.log.warn(`remote configuration ${version} is refused: ${errors.join('; ')}`);
    this.#report(version, 'rejected', errors);
  }

  #reportActive(errors: readonly string[] = []): void {
    this.#report(this.#active.version, this.#waiting.length > 0 ? 'pending' : 'applied', errors);
  }

  /** Keys that are in force at the next start only. */
  get #waiting(): readonly string[] {
    return diffConfig(this.#booted, this.#config).restartRequired;
  }

  #report(version: number, status: ReportedConfig['status'], errors: readonly string[]): void {
    this.#reported = {
      schema: MESSAGE_SCHEMA,
      ts: new Date().toISOString(),
      boot_id: this.#options.bootId,
      version,
      status,
      errors: errors.slice(0, MAX_ERRORS).map((error) => error.slice(0, MAX_ERROR_LENGTH)),
      restart_required: [...this.#waiting],
      active_version: this.#active.version,
      active_changes: this.#active.changes as ReportedConfig['active_changes'],
    };
    this.emit('reported', this.#reported);
  }

  /** How often it was begun to be taken up without an end: what is retained comes again with every start. */
  #takeUpsOf(set: ChangeSet): number {
    const known = readTakeUp(this.#options.store);
    return known !== null && isSame(known.set, set) ? known.begun : 0;
  }

  #keepTakeUp(begun: TakeUp | null): void {
    try {
      writeTakeUp(this.#options.store, begun);
    } catch (error) {
      this.#options.log.warn(`what is being taken up could not be noted: ${messageOf(error)}`);
    }
  }

  /** @returns what to tell when the disk took it not: it is in force all the same */
  #save(state: TwinState): readonly string[] {
    this.#state = state;
    try {
      writeTwinState(this.#options.store, state);
      return [];
    } catch (error) {
      this.#options.log.error(`the remote configuration could not be stored: ${messageOf(error)}`);
      return [`it is in force, but not stored: the next start will not know it (${messageOf(error)})`];
    }
  }
}
