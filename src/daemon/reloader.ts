// Reads the configuration file again, now or when the change that is under way has settled.
import type { LocalConfig } from '../config/index.js';
import { messageOf } from '../errors.js';
import type { Log } from '../system/index.js';
import type { ConfigTwin, DesiredChange } from '../telemetry/index.js';

export interface ReloaderOptions {
  readonly twin: ConfigTwin;
  /** Reads the file. */
  readonly load: () => LocalConfig;
  /** There is a change to take up. */
  readonly changed: (change: DesiredChange) => void;
  readonly log: Log;
}

export class Reloader {
  readonly #options: ReloaderOptions;
  /** However often it was asked for meanwhile: the file is read as it is then. */
  #isWaiting = false;

  constructor(options: ReloaderOptions) {
    this.#options = options;
    options.twin.on('settled', () => {
      if (this.#isWaiting) this.reload();
    });
  }

  /** Never throws: a bad file is logged and changes nothing. */
  reload(): void {
    const { twin, load, changed, log } = this.#options;
    if (twin.isBusy) {
      if (!this.#isWaiting) log.info('the file is read again when the change under way is over');
      this.#isWaiting = true;
      return;
    }
    this.#isWaiting = false;
    try {
      const change = twin.setLocal(load());
      if (change !== undefined) changed(change);
    } catch (error) {
      log.error(`the configuration stays as it is: ${messageOf(error)}`);
    }
  }
}
