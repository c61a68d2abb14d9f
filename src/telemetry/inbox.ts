// What comes on `config/desired`: judged one message at a time; while one is being taken up, the newest waits.
import type { Log } from '../system/index.js';
import type { DesiredChange } from './change.js';
import { parseDesired } from './desired.js';
import type { ConfigTwin } from './twin.js';

export interface InboxOptions {
  readonly twin: ConfigTwin;
  readonly log: Log;
  /** There is a change to take up. */
  readonly changed: (change: DesiredChange) => void;
}

const versionOf = (payload: Buffer): number => {
  const parsed = parseDesired(payload);
  return parsed.ok ? parsed.set.version : 0;
};

export class DesiredInbox {
  readonly #options: InboxOptions;
  #waiting: Buffer | undefined;

  constructor(options: InboxOptions) {
    this.#options = options;
    options.twin.on('settled', () => {
      const payload = this.#waiting;
      this.#waiting = undefined;
      if (payload !== undefined) this.receive(payload);
    });
  }

  /** Never throws. */
  receive(payload: Buffer): void {
    const { twin, log, changed } = this.#options;
    if (payload.length === 0) {
      log.info('config/desired was cleared: the configuration stays as it is');
    } else if (!twin.isBusy) {
      const change = twin.propose(payload);
      if (change !== undefined) changed(change);
    } else if (!twin.isRepeated(payload)) {
      // A higher version that waits is wanted more than a lower one that came after it.
      if (this.#waiting === undefined || versionOf(payload) >= versionOf(this.#waiting)) {
        this.#waiting = payload;
      } else log.warn('a message on config/desired was passed over: one of a higher version waits');
    }
  }
}
