// Progress of long work that goes through steps: one bar a step.
import type { Cli, Progress } from './cli.js';

/** Shows one step after the other. */
export class StepBars<Step extends string> {
  readonly #cli: Cli;
  readonly #units: Readonly<Partial<Record<Step, string>>>;
  #bar: Progress | undefined;
  #step: Step | undefined;

  /** @param units what is counted in each step */
  constructor(cli: Cli, units: Readonly<Partial<Record<Step, string>>>) {
    this.#cli = cli;
    this.#units = units;
  }

  readonly show = (step: Step, done: number, all: number): void => {
    if (step !== this.#step) {
      this.stop();
      this.#bar = this.#cli.progress(step, all, this.#units[step] ?? '');
      this.#step = step;
    }
    this.#bar?.update(done);
  };

  stop(): void {
    this.#bar?.stop();
    this.#bar = undefined;
  }
}
