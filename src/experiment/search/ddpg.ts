// Deep deterministic policy gradient (Lillicrap 2016), as HAQ uses it: one action a layer, the reward at the end of an episode.
import { Adam, Mlp } from './mlp.js';

export interface DdpgOptions {
  /** Numbers that describe a state. */
  readonly states: number;
  readonly random: () => number;
  /** Width of both hidden layers (default 64). */
  readonly hidden?: number;
  readonly actorRate?: number;
  readonly criticRate?: number;
  /** Share of the way that the slow copies go at each update (default 0.01). */
  readonly follow?: number;
  readonly batch?: number;
  readonly capacity?: number;
}

export interface Transition {
  readonly state: Float64Array;
  readonly action: number;
  readonly reward: number;
  /** `undefined` at the end of an episode. */
  readonly next: Float64Array | undefined;
}

/** A layer's bits do not wear off: later ones count as much (HAQ, 3.4). */
const DISCOUNT = 1;
/** How slowly the mean reward follows. */
const BASELINE = 0.95;

/** Gaussian numbers that stay within 0 and 1. */
export const truncatedNormal = (mean: number, deviation: number, random: () => number): number => {
  for (let attempt = 0; attempt < 100; attempt++) {
    const radius = Math.sqrt(-2 * Math.log(1 - random()));
    const value = mean + deviation * radius * Math.cos(2 * Math.PI * random());
    if (value >= 0 && value <= 1) return value;
  }
  return Math.min(1, Math.max(0, mean));
};

const joined = (state: Float64Array, action: number): Float64Array => {
  const both = new Float64Array(state.length + 1);
  both.set(state);
  both[state.length] = action;
  return both;
};

export class Ddpg {
  readonly #actor: Mlp;
  readonly #critic: Mlp;
  readonly #slowActor: Mlp;
  readonly #slowCritic: Mlp;
  readonly #actorSteps: Adam;
  readonly #criticSteps: Adam;
  readonly #random: () => number;
  readonly #follow: number;
  readonly #batch: number;
  readonly #capacity: number;
  readonly #memory: Transition[] = [];
  #written = 0;
  #baseline: number | undefined;

  constructor(options: DdpgOptions) {
    const { states, random, hidden = 64, actorRate = 2e-4, criticRate = 2e-3 } = options;
    const make = (inputs: number, output: 'linear' | 'sigmoid'): Mlp =>
      new Mlp([inputs, hidden, hidden, 1], output, random);
    [this.#actor, this.#slowActor] = [make(states, 'sigmoid'), make(states, 'sigmoid')];
    [this.#critic, this.#slowCritic] = [make(states + 1, 'linear'), make(states + 1, 'linear')];
    this.#slowActor.follow(this.#actor, 1);
    this.#slowCritic.follow(this.#critic, 1);
    this.#actorSteps = new Adam(this.#actor, actorRate);
    this.#criticSteps = new Adam(this.#critic, criticRate);
    this.#random = random;
    this.#follow = options.follow ?? 0.01;
    this.#batch = options.batch ?? 64;
    this.#capacity = options.capacity ?? 10_000;
  }

  /** What the policy does, from 0 to 1; noise around it where a deviation is given. */
  act(state: Float64Array, deviation = 0): number {
    const action = this.#actor.forward(state).at(-1)?.[0] ?? 0;
    return deviation === 0 ? action : truncatedNormal(action, deviation, this.#random);
  }

  /** Remembers an episode and learns as many times as it had steps. Rewards are taken relative to their moving mean. */
  learn(episode: readonly Transition[]): void {
    const total = episode.reduce((sum, { reward }) => sum + reward, 0);
    this.#baseline =
      this.#baseline === undefined ? total : BASELINE * this.#baseline + (1 - BASELINE) * total;
    for (const transition of episode) {
      this.#memory[this.#written++ % this.#capacity] = transition;
    }
    if (this.#memory.length < this.#batch) return;
    for (let step = 0; step < episode.length; step++) this.#update(this.#baseline);
  }

  #update(baseline: number): void {
    const chosen = Array.from(
      { length: this.#batch },
      () => this.#memory[Math.floor(this.#random() * this.#memory.length)],
    ).filter((each): each is Transition => each !== undefined);
    for (const { state, action, reward, next } of chosen) {
      let target = next === undefined ? reward - baseline : reward;
      if (next !== undefined) {
        const there = this.#slowActor.forward(next).at(-1)?.[0] ?? 0;
        target += DISCOUNT * (this.#slowCritic.forward(joined(next, there)).at(-1)?.[0] ?? 0);
      }
      const trace = this.#critic.forward(joined(state, action));
      const error = (trace.at(-1)?.[0] ?? 0) - target;
      this.#critic.backward(trace, Float64Array.of((2 * error) / chosen.length));
    }
    this.#criticSteps.step();
    for (const { state } of chosen) {
      const trace = this.#actor.forward(state);
      const action = trace.at(-1)?.[0] ?? 0;
      const judged = this.#critic.forward(joined(state, action));
      const toInput = this.#critic.backward(judged, Float64Array.of(-1 / chosen.length));
      this.#actor.backward(trace, Float64Array.of(toInput[state.length] ?? 0));
    }
    // The critic was only asked.
    this.#critic.parameters.gradients.fill(0);
    this.#actorSteps.step();
    this.#slowActor.follow(this.#actor, this.#follow);
    this.#slowCritic.follow(this.#critic, this.#follow);
  }
}
