// The registry: which artifacts are installed, which one is active, and the way back when it does not start.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { BitlaneError, messageOf } from '../errors.js';
import { type Artifact, MAX_MODEL_BYTES, parseManifest, readArtifactFolder, sizeOf } from './artifact.js';
import { ArtifactFolder, shortId } from './folder.js';
import { type ModelSource, moveOut, sweepLeftovers, writeArtifact } from './install.js';
import { FileLock } from './lock.js';
import type { Manifest } from './manifest.js';
import { recoverState } from './recover.js';
import { EMPTY_STATE, readState, type RegistryState, writeState } from './state.js';

/** Failed starts in a row after which a boot goes back to the artifact before. */
export const FAILED_START_LIMIT = 2;
/** Starts without a recorded outcome after which it does: more, because a power cut looks the same. */
export const UNFINISHED_START_LIMIT = 4;

export interface RegistryOptions {
  /** The configured state folder; artifacts live in `models/` below it. */
  readonly stateDir: string;
  /** What the lock says of its holder (`bitlane run`). */
  readonly purpose?: string;
  /** Takes no lock and changes nothing: for looking while another process owns the registry. */
  readonly readOnly?: boolean;
}

/** One line of a list. */
export interface RegistryEntry {
  readonly id: string;
  readonly active: boolean;
  readonly previous: boolean;
  readonly factory: boolean;
  /** `undefined` when it cannot be read; `problem` then says why. */
  readonly manifest: Manifest | undefined;
  readonly problem: string | undefined;
}

export interface BootDecision {
  /** The artifact to serve; `undefined` when none is installed. */
  readonly active: Artifact | undefined;
  /** Set when this boot went back from an artifact that did not start. */
  readonly rolledBackFrom: string | undefined;
}

export type StartOutcome = 'begun' | 'warm' | 'failed' | 'ok';

/** The state folder cannot be written, for a reason that may pass: what stands still serves. */
const UNWRITABLE = new Set(['EROFS', 'EACCES', 'EPERM', 'ENOSPC', 'EDQUOT']);
const codeOf = (error: unknown): string => String((error as NodeJS.ErrnoException | undefined)?.code ?? '');

/**
 * Owns `<stateDir>/models`. From the first install on exactly one artifact is active, whatever is killed when. Operations run
 * one after the other, in the order they were asked for. A failed one leaves the last good state.
 */
export class Registry {
  readonly #options: RegistryOptions;
  readonly #folder: ArtifactFolder;
  readonly #lock: FileLock;
  #state: RegistryState = EMPTY_STATE;
  /** What the last `activate` replaced. */
  #before: RegistryState | undefined;
  #writable = false;
  #last: Promise<unknown> = Promise.resolve();

  constructor(options: RegistryOptions) {
    this.#options = options;
    this.#folder = new ArtifactFolder(join(options.stateDir, 'models'));
    this.#lock = new FileLock(join(this.#folder.path, 'lock'), options.purpose ?? 'bitlane');
  }

  /** The folder that holds the artifacts. */
  get folder(): string {
    return this.#folder.path;
  }

  /** Whether artifacts can be installed and activated. */
  get writable(): boolean {
    return this.#writable;
  }

  get active(): string | null {
    return this.#state.active;
  }

  get previous(): string | null {
    return this.#state.previous;
  }

  get factory(): string | null {
    return this.#state.factory;
  }

  /**
   * Takes the lock, removes what killed installs left, and makes sure that the active artifact is there and whole; where it is
   * not, the next best one becomes active. Where the folder cannot be written, the registry serves what it can read.
   *
   * @returns what was found wrong and what was done about it, a sentence each: for the log, never to be dropped
   * @throws BitlaneError `BUSY` when another process owns the registry
   */
  async start(): Promise<readonly string[]> {
    const notices: string[] = [];
    if (this.#options.readOnly !== true) {
      try {
        mkdirSync(this.folder, { recursive: true, mode: 0o750 });
        this.#lock.acquire();
        this.#writable = true;
      } catch (error) {
        if (!UNWRITABLE.has(codeOf(error))) throw this.#explain(error);
        notices.push(`${this.#explain(error).message}: models can be used, but not changed`);
      }
    }
    if (this.#writable) {
      await sweepLeftovers(this.folder).catch((error: unknown) =>
        notices.push(`what a killed install left in ${this.folder} cannot be removed: ${messageOf(error)}`),
      );
    }
    try {
      return [...notices, ...(await this.#recover())];
    } catch (error) {
      this.stop();
      throw this.#explain(error);
    }
  }

  /** Gives the lock back. Safe to call twice. */
  stop(): void {
    this.#writable = false;
    this.#lock.release();
  }

  /** Every installed artifact, by time of creation; broken ones too. Reads manifests, does not hash. */
  async list(): Promise<readonly RegistryEntry[]> {
    const entries = await Promise.all(
      (await this.#folder.ids()).map(async (id): Promise<RegistryEntry> => {
        const role = {
          id,
          active: id === this.#state.active,
          previous: id === this.#state.previous,
          factory: id === this.#state.factory,
        };
        try {
          return { ...role, manifest: (await this.#folder.get(id)).manifest, problem: undefined };
        } catch (error) {
          return { ...role, manifest: undefined, problem: messageOf(error) };
        }
      }),
    );
    const created = (entry: RegistryEntry): string => entry.manifest?.createdAt ?? '';
    return entries.sort((a, b) => created(a).localeCompare(created(b)) || a.id.localeCompare(b.id));
  }

  /**
   * An installed artifact; its model is not hashed.
   *
   * @throws BitlaneError `NO_SUCH_MODEL`, or `BAD_MODEL` when its manifest cannot be read
   */
  get(id: string): Promise<Artifact> {
    return this.#folder.get(id);
  }

  /**
   * An installed artifact, every byte checked.
   *
   * @throws BitlaneError `NO_SUCH_MODEL`, or `BAD_MODEL` naming the file and the rule it breaks
   */
  verify(id: string): Promise<Artifact> {
    return this.#folder.verify(id);
  }

  /** The id that six or more of its first digits stand for. */
  find(prefix: string): Promise<string> {
    return this.#folder.find(prefix);
  }

  /**
   * Installs a model with its manifest; the first one becomes active and factory. Installing what is there already does
   * nothing; an artifact is never changed, so another manifest for the same model is refused.
   *
   * @param model path or bytes of the model
   * @throws BitlaneError `BAD_MODEL` when model and manifest do not belong together; `STORE_FAILED` when it cannot be written
   */
  install(model: ModelSource, manifest: unknown): Promise<Artifact> {
    return this.#change(async () => {
      const checked = parseManifest(manifest, 'the manifest');
      if (typeof model === 'string') await sizeOf(model, MAX_MODEL_BYTES);
      const standing = await readArtifactFolder(join(this.folder, checked.id)).catch((error: unknown) => {
        // Only what is known to be broken is replaced: a file that cannot be read just now may be whole.
        if (error instanceof BitlaneError && error.code === 'BAD_MODEL') return undefined;
        throw error;
      });
      if (standing === undefined) await writeArtifact(this.folder, model, checked);
      else if (JSON.stringify(standing.manifest.detector) !== JSON.stringify(checked.detector)) {
        throw new BitlaneError(
          'BAD_MODEL',
          `this model is installed already, as ${shortId(checked.id)}, and describes its detector differently: remove that one first (bitlane models remove)`,
        );
      }
      if (this.#state.active === null) {
        await this.#write({ ...EMPTY_STATE, active: checked.id, factory: this.#state.factory ?? checked.id });
      }
      return this.get(checked.id);
    });
  }

  /** Installs a copy of an artifact folder. */
  async installFolder(folder: string): Promise<Artifact> {
    const artifact = await readArtifactFolder(folder);
    return this.install(artifact.modelPath, artifact.manifest);
  }

  /**
   * Makes an installed artifact the active one; what was active becomes the previous one.
   *
   * @param wanted its id, or what {@link verify} has just given: that is not hashed a second time
   * @throws BitlaneError `NO_SUCH_MODEL`; `BAD_MODEL` when it is broken; `STORE_FAILED` when that cannot be written
   */
  activate(wanted: string | Artifact): Promise<Artifact> {
    return this.#change(async () => {
      const artifact = typeof wanted === 'string' ? await this.verify(wanted) : await this.get(wanted.id);
      const { id } = artifact;
      const before = this.#state;
      const { active, factory } = before;
      if (active !== id) {
        await this.#write({ ...EMPTY_STATE, active: id, previous: active, factory: factory ?? id });
        this.#before = before;
      }
      return artifact;
    });
  }

  /** Takes the last {@link activate} of this process back, as if it had not been. Does nothing when there is none to take back. */
  revert(): Promise<void> {
    return this.#change(async () => {
      const before = this.#before;
      this.#before = undefined;
      if (before !== undefined) await this.#write(before);
    });
  }

  /**
   * Goes back to the previous artifact, or to the factory one where there is no previous.
   *
   * @throws BitlaneError `NO_SUCH_MODEL` when there is no way back
   */
  rollback(): Promise<Artifact> {
    return this.#change(() => this.#goBack());
  }

  /** Makes an installed artifact the one that rollbacks end at. */
  markFactory(id: string): Promise<Artifact> {
    return this.#change(async () => {
      const artifact = await this.verify(id);
      await this.#write({ ...this.#state, factory: id });
      return artifact;
    });
  }

  /**
   * Removes an artifact.
   *
   * @throws BitlaneError `BUSY` for the active, previous and factory one; `NO_SUCH_MODEL`
   */
  remove(id: string): Promise<void> {
    return this.#change(async () => {
      await this.get(id).catch((error: unknown) => {
        if (error instanceof BitlaneError && error.code === 'NO_SUCH_MODEL') throw error;
      });
      for (const role of ['active', 'previous', 'factory'] as const) {
        if (this.#state[role] === id) {
          throw new BitlaneError('BUSY', `${shortId(id)} is the ${role} artifact and cannot be removed`);
        }
      }
      await moveOut(this.folder, id);
    });
  }

  /**
   * Records how a start of the active artifact goes: `begun` before its process is started, `warm` when that has run the model,
   * `ok` when it has answered a frame, or `failed`. A camera that delivers nothing says nothing of the model: what is warm has not ended
   * this process. Starts of other artifacts (candidates) are not counted.
   */
  recordStart(id: string, outcome: StartOutcome): Promise<void> {
    return this.#change(async () => {
      const state = this.#state;
      if (state.active !== id) return;
      switch (outcome) {
        case 'begun':
          await this.#write({ ...state, unfinishedStarts: state.unfinishedStarts + 1 });
          break;
        case 'warm':
          if (state.unfinishedStarts > 0) await this.#write({ ...state, unfinishedStarts: 0 });
          break;
        case 'failed':
          await this.#write({ ...state, failedStarts: state.failedStarts + 1, unfinishedStarts: 0 });
          break;
        case 'ok':
          if (state.failedStarts > 0 || state.unfinishedStarts > 0) {
            await this.#write({ ...state, failedStarts: 0, unfinishedStarts: 0 });
          }
          break;
      }
    });
  }

  /**
   * What to serve from this boot on. An artifact that failed to start twice in a row, or whose start four times ended this
   * whole process, is left for the one before it; when there is none, it is tried again.
   */
  async atBoot(): Promise<BootDecision> {
    const { active, failedStarts, unfinishedStarts } = this.#state;
    if (active === null) return { active: undefined, rolledBackFrom: undefined };
    if (failedStarts >= FAILED_START_LIMIT || unfinishedStarts >= UNFINISHED_START_LIMIT) {
      try {
        return { active: await this.rollback(), rolledBackFrom: active };
      } catch (error) {
        if (!(error instanceof BitlaneError)) throw error;
        // No way back, or none that can be written: the same artifact is tried again.
      }
    }
    return { active: await this.verify(active), rolledBackFrom: undefined };
  }

  async #goBack(): Promise<Artifact> {
    const { active, previous, factory } = this.#state;
    for (const id of [previous, factory]) {
      if (id === null || id === active) continue;
      const artifact = await this.verify(id).catch(() => undefined);
      if (artifact === undefined) continue;
      // The one that is left is not offered again: the next step back goes to the factory artifact.
      await this.#write({ ...EMPTY_STATE, active: id, factory });
      return artifact;
    }
    throw new BitlaneError('NO_SUCH_MODEL', 'there is no earlier artifact to go back to');
  }

  async #recover(): Promise<string[]> {
    const { state: recorded, problems, complete } = readState(this.folder);
    const { state, notices } = await recoverState(this.#folder, recorded, (id) =>
      this.#options.readOnly === true ? this.#folder.get(id) : this.#folder.verify(id),
    );
    this.#state = state;
    const changed = JSON.stringify(state) !== JSON.stringify(recorded);
    if (!this.#writable || state.active === null || (complete && !changed)) return [...problems, ...notices];
    try {
      await writeState(this.folder, state);
      return [...problems, ...notices];
    } catch (error) {
      return [...problems, ...notices, this.#explain(error).message];
    }
  }

  /** Runs one change after those before it, failed or not. */
  #change<T>(work: () => Promise<T> | T): Promise<T> {
    const result = this.#last.then(async () => {
      if (!this.#writable) {
        throw new BitlaneError('STORE_FAILED', `${this.folder} was opened for reading only`);
      }
      try {
        return await work();
      } catch (error) {
        throw this.#explain(error);
      }
    });
    this.#last = result.catch(() => undefined);
    return result;
  }

  async #write(state: RegistryState): Promise<void> {
    try {
      await writeState(this.folder, state);
      this.#state = state;
    } catch (error) {
      // Whatever stands on the disk now is what counts.
      this.#state = readState(this.folder).state ?? this.#state;
      throw error;
    }
  }

  #explain(error: unknown): BitlaneError {
    if (error instanceof BitlaneError) return error;
    const code = codeOf(error);
    const message =
      code === 'ENOSPC' || code === 'EDQUOT'
        ? `there is no space left for ${this.folder}`
        : UNWRITABLE.has(code)
          ? `${this.folder} cannot be written (${code})`
          : `${this.folder}: ${messageOf(error)}`;
    return new BitlaneError('STORE_FAILED', message, { cause: error });
  }
}
