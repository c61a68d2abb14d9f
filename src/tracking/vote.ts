// The class of a track: a weighted vote over its frames, by class name.
import type { Observation } from './observations.js';
import type { ClassShare, ClassVote } from './types.js';

/** A score of exactly 0 still is a sight of something. */
const LEAST_WEIGHT = 1e-6;

/**
 * Adds up score x clarity for each class name. Rivals vote with their own scores: a frame that says "car 0.6, truck 0.5" speaks for
 * both. Names, not class ids: the model can change while a track runs.
 */
export class ClassTally {
  readonly #weights = new Map<string, number>();
  #total = 0;

  add(observation: Observation): void {
    this.#cast(observation.className, observation.score * observation.clarity);
    for (const rival of observation.rivals) this.#cast(rival.className, rival.score * observation.clarity);
  }

  #cast(className: string, weight: number): void {
    const cast = Math.max(weight, LEAST_WEIGHT);
    this.#weights.set(className, (this.#weights.get(className) ?? 0) + cast);
    this.#total += cast;
  }

  /** Share of one class, 0..1. */
  share(className: string): number {
    return this.#total > 0 ? (this.#weights.get(className) ?? 0) / this.#total : 0;
  }

  /** The vote now; ties go to the name that sorts first. There must be at least one observation. */
  result(): ClassVote {
    const shares: ClassShare[] = [...this.#weights]
      .map(([className, weight]) => ({ className, share: weight / this.#total }))
      .sort((a, b) => b.share - a.share || (a.className < b.className ? -1 : 1));
    const [first, second] = shares;
    const share = first?.share ?? 0;
    return { className: first?.className ?? '', share, margin: share - (second?.share ?? 0), shares };
  }
}
