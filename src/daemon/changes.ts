// A changed configuration is taken up part by part while the daemon runs; when a part refuses, all of it is taken back.
import type { Config, ConfigPart } from '../config/index.js';
import { messageOf } from '../errors.js';
import type { Log } from '../system/index.js';
import type { DesiredChange } from '../telemetry/index.js';

/** Masks do not wait for their turn: see {@link Guard}. */
type TakenInTurn = Exclude<ConfigPart, 'masks'>;

/** How each part takes a configuration up; it throws when it cannot, and has then changed nothing. */
export type Takers = Readonly<Record<TakenInTurn, (config: Config) => Promise<void> | void>>;

/** What must hold while a change is under way: some parts take minutes, and pictures are stored meanwhile. */
export interface Guard {
  begin(next: Config): void;
  /** @param config what is in force in the end */
  settle(config: Config): void;
}

/** Parts that can refuse go first. */
const ORDER: readonly TakenInTurn[] = [
  'camera',
  'detector',
  'swap',
  'mqtt',
  'log',
  'tracking',
  'counting',
  'examples',
  'adaptation',
  'telemetry',
  'info',
  'remote',
  'model',
];

/** Takes changes up one after the other, in the order they came. */
export class Changes {
  readonly #takers: Takers;
  readonly #masks: Guard;
  readonly #log: Log;
  #last: Promise<void> = Promise.resolve();

  constructor(takers: Takers, masks: Guard, log: Log) {
    this.#takers = takers;
    this.#masks = masks;
    this.#log = log;
  }

  /** Resolves when the change was accepted or rejected; never rejects itself. */
  take(change: DesiredChange): Promise<void> {
    this.#last = this.#last.then(() => this.#apply(change));
    return this.#last;
  }

  async #apply(change: DesiredChange): Promise<void> {
    const parts = ORDER.filter((part) => change.diff.parts.has(part));
    const done: TakenInTurn[] = [];
    const hasMasks = change.diff.parts.has('masks');
    if (hasMasks) this.#masks.begin(change.config);
    try {
      for (const part of parts) {
        await this.#takers[part](change.config);
        done.push(part);
      }
    } catch (error) {
      const reason = messageOf(error);
      this.#log.warn(`configuration ${change.version} is taken back: ${reason}`);
      await this.#undo(done.reverse(), change.previous);
      if (hasMasks) this.#masks.settle(change.previous);
      change.reject([reason]);
      return;
    }
    if (hasMasks) this.#masks.settle(change.config);
    change.accept();
    const { changed, restartRequired } = change.diff;
    this.#log.info('the configuration was taken up', { changed: changed.slice(0, 20).join(',') });
    if (restartRequired.length > 0) {
      this.#log.warn(`takes effect at the next start only: ${restartRequired.slice(0, 20).join(', ')}`);
    }
  }

  async #undo(parts: readonly TakenInTurn[], previous: Config): Promise<void> {
    for (const part of parts) {
      try {
        await this.#takers[part](previous);
      } catch (error) {
        this.#log.error(`the ${part} settings could not be taken back: ${messageOf(error)}`);
      }
    }
  }
}
