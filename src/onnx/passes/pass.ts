// A pass changes a model in one way; several are run in a list.
import type { Model } from '../model.js';

export interface Pass {
  readonly name: string;
  /** Changes the model in place; returns whether anything changed. */
  call(model: Model): boolean;
}

/** Runs passes in order. Returns the names of those that changed something. */
export const runPasses = (model: Model, passes: readonly Pass[]): string[] =>
  passes.filter((pass) => pass.call(model)).map((pass) => pass.name);
