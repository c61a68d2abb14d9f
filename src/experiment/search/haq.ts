// HAQ (Wang 2019): a reinforcement-learning agent gives each layer its bits, a limit on what the device has says what fits, accuracy rewards it.
import { Ddpg, type Transition } from './ddpg.js';

/** A layer as the agent sees it. */
export interface HaqLayer {
  readonly name: string;
  readonly isDepthwise: boolean;
  readonly inputChannels: number;
  readonly outputChannels: number;
  readonly kernel: number;
  readonly stride: number;
  /** Width of what it takes. */
  readonly size: number;
  readonly weights: number;
}

export interface HaqOptions<Bits extends number> {
  readonly layers: readonly HaqLayer[];
  /** From few to many. */
  readonly choices: readonly Bits[];
  /** What bits for all layers cost; within the budget where it is at most 1. */
  readonly cost: (bits: readonly Bits[]) => number;
  /** Accuracy from 0 to 1 (or any figure that is better when higher) of a model with these bits. */
  readonly evaluate: (bits: readonly Bits[], episode: number) => Promise<number>;
  readonly episodes: number;
  /** Of them without learning, actions at random (default: a tenth). */
  readonly warmUp?: number;
  readonly random: () => number;
  readonly signal?: AbortSignal;
  readonly onEpisode?: (episode: number, all: number) => void;
}

export interface HaqResult<Bits extends number> {
  readonly bits: readonly Bits[];
  readonly accuracy: number;
  /** Accuracy of each episode. */
  readonly history: readonly number[];
}

/** Deviation of the noise around actions, and what it is multiplied by after each episode that learned. */
const [DEVIATION, DECAY] = [0.5, 0.99];
/** Scale of rewards (HAQ, 3.3). */
const REWARD = 10;

const logScaled = (values: readonly number[]): number[] => {
  const logs = values.map((value) => Math.log(Math.max(1, value)));
  const most = Math.max(...logs, 1e-9);
  return logs.map((value) => value / most);
};

/** The ten numbers of a state (HAQ, table 2), each within 0 and 1; the last one, the action before, is filled in. */
const statesOf = (layers: readonly HaqLayer[]): Float64Array[] => {
  const features = [
    layers.map((_, i) => i / Math.max(1, layers.length - 1)),
    layers.map(({ isDepthwise }) => Number(isDepthwise)),
    logScaled(layers.map(({ inputChannels }) => inputChannels)),
    logScaled(layers.map(({ outputChannels }) => outputChannels)),
    logScaled(layers.map(({ kernel }) => kernel)),
    logScaled(layers.map(({ stride }) => stride)),
    logScaled(layers.map(({ size }) => size)),
    logScaled(layers.map(({ weights }) => weights)),
    layers.map(() => 1),
    layers.map(() => 0),
  ];
  return layers.map((_, i) => Float64Array.from(features, (feature) => feature[i] ?? 0));
};

/** The choice that an action from 0 to 1 stands for: each has the same share. */
const choiceOf = <Bits>(choices: readonly Bits[], action: number): number =>
  Math.min(choices.length - 1, Math.floor(action * choices.length));

/**
 * Takes bits away, one choice at a time and layer by layer in turns, until the budget holds (HAQ, 3.2).
 *
 * @returns indices of choices; all of them the least where nothing else fits
 */
export const withinBudget = (
  chosen: readonly number[],
  isWithin: (chosen: readonly number[]) => boolean,
): number[] => {
  const result = [...chosen];
  while (!isWithin(result)) {
    let isLeast = true;
    for (let layer = result.length - 1; layer >= 0; layer--) {
      const now = result[layer] ?? 0;
      if (now === 0) continue;
      result[layer] = now - 1;
      isLeast = false;
      if (isWithin(result)) return result;
    }
    if (isLeast) return result;
  }
  return result;
};

/** Searches bits for every layer; the best that was evaluated is the result. */
export const searchBits = async <Bits extends number>(
  options: HaqOptions<Bits>,
): Promise<HaqResult<Bits>> => {
  const { layers, choices, cost, evaluate, episodes, random, signal } = options;
  const { warmUp = Math.ceil(episodes / 10) } = options;
  const states = statesOf(layers);
  const agent = new Ddpg({ states: states[0]?.length ?? 0, random });
  const bitsOf = (chosen: readonly number[]): Bits[] =>
    chosen.flatMap((index) => choices[index] ?? choices[0] ?? []);
  const history: number[] = [];
  let [best, accuracy]: [readonly Bits[], number] = [[], -Infinity];
  for (let episode = 0; episode < episodes; episode++) {
    signal?.throwIfAborted();
    const deviation = DEVIATION * DECAY ** Math.max(0, episode - warmUp);
    let before = 1;
    const seen: Float64Array[] = [];
    const actions = states.map((base) => {
      const state = Float64Array.from(base);
      state[state.length - 1] = before;
      seen.push(state);
      before = episode < warmUp ? random() : agent.act(state, deviation);
      return before;
    });
    const chosen = withinBudget(
      actions.map((action) => choiceOf(choices, action)),
      (each) => cost(bitsOf(each)) <= 1,
    );
    const bits = bitsOf(chosen);
    const reached = await evaluate(bits, episode);
    history.push(reached);
    if (reached > accuracy) [best, accuracy] = [bits, reached];
    agent.learn(
      seen.map((state, i): Transition => {
        const next = seen[i + 1];
        return {
          state,
          // What was done, not what was wanted: the budget has a say.
          action: ((chosen[i] ?? 0) + 0.5) / choices.length,
          reward: next === undefined ? REWARD * reached : 0,
          next,
        };
      }),
    );
    options.onEpisode?.(episode + 1, episodes);
  }
  return { bits: best, accuracy, history };
};
