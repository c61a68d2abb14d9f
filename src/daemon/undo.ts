// What was started, to be stopped in the opposite order.
import { messageOf } from '../errors.js';
import type { Log } from '../system/index.js';

export class Undo {
  readonly #steps: { readonly what: string; readonly work: () => Promise<void> | void }[] = [];

  add(what: string, work: () => Promise<void> | void): void {
    this.#steps.push({ what, work });
  }

  /** Stops everything, latest first; what fails is logged and hinders nothing else. */
  async run(log: Log): Promise<void> {
    for (let step = this.#steps.pop(); step !== undefined; step = this.#steps.pop()) {
      try {
        await step.work();
      } catch (error) {
        log.error(`stopping the ${step.what} failed: ${messageOf(error)}`);
      }
    }
  }
}
