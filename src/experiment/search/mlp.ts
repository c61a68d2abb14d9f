// A small fully connected network with its gradients: what an actor and a critic are made of.

export type Output = 'linear' | 'sigmoid';

/** Weights and biases of all layers in one piece, so that an optimizer sees one vector. */
export interface Parameters {
  readonly values: Float64Array;
  readonly gradients: Float64Array;
}

/** What a pass leaves for the way back: the output of every layer, the input first. */
export type Trace = readonly Float64Array[];

/** ReLU between layers; He initialisation, the last layer small. */
export class Mlp {
  readonly parameters: Parameters;
  readonly #sizes: readonly number[];
  readonly #output: Output;

  /**
   * @param sizes of the input, of each hidden layer, of the output
   * @param random numbers from 0 to 1
   */
  constructor(sizes: readonly number[], output: Output, random: () => number) {
    this.#sizes = sizes;
    this.#output = output;
    const layers = sizes.slice(1).map((to, i) => ({ from: sizes[i] ?? 0, to }));
    const count = layers.reduce((sum, { from, to }) => sum + (from + 1) * to, 0);
    const values = new Float64Array(count);
    let at = 0;
    layers.forEach(({ from, to }, i) => {
      const reach = i === layers.length - 1 ? 3e-3 : Math.sqrt(6 / from);
      for (let k = 0; k < from * to; k++) values[at + k] = (2 * random() - 1) * reach;
      at += (from + 1) * to;
    });
    this.parameters = { values, gradients: new Float64Array(count) };
  }

  /** The output is the last of the trace. */
  forward(input: Float64Array): Trace {
    const { values } = this.parameters;
    const trace = [input];
    let at = 0;
    for (let layer = 1; layer < this.#sizes.length; layer++) {
      const [from, to] = [this.#sizes[layer - 1] ?? 0, this.#sizes[layer] ?? 0];
      const before = trace[layer - 1] ?? input;
      const result = new Float64Array(to);
      const isLast = layer === this.#sizes.length - 1;
      for (let o = 0; o < to; o++) {
        let sum = values[at + from * to + o] ?? 0;
        for (let i = 0; i < from; i++) sum += (values[at + o * from + i] ?? 0) * (before[i] ?? 0);
        result[o] = isLast ? (this.#output === 'sigmoid' ? 1 / (1 + Math.exp(-sum)) : sum) : Math.max(0, sum);
      }
      trace.push(result);
      at += (from + 1) * to;
    }
    return trace;
  }

  /**
   * Adds to the gradients of the parameters.
   *
   * @param gradient of the output
   * @returns the gradient of the input
   */
  backward(trace: Trace, gradient: Float64Array): Float64Array {
    const { values, gradients } = this.parameters;
    let at = values.length;
    let behind = gradient;
    for (let layer = this.#sizes.length - 1; layer > 0; layer--) {
      const [from, to] = [this.#sizes[layer - 1] ?? 0, this.#sizes[layer] ?? 0];
      const [before, result] = [trace[layer - 1], trace[layer]];
      at -= (from + 1) * to;
      const isLast = layer === this.#sizes.length - 1;
      const next = new Float64Array(from);
      for (let o = 0; o < to; o++) {
        const y = result?.[o] ?? 0;
        const slope = isLast ? (this.#output === 'sigmoid' ? y * (1 - y) : 1) : y > 0 ? 1 : 0;
        const g = (behind[o] ?? 0) * slope;
        if (g === 0) continue;
        gradients[at + from * to + o] = (gradients[at + from * to + o] ?? 0) + g;
        for (let i = 0; i < from; i++) {
          const k = at + o * from + i;
          gradients[k] = (gradients[k] ?? 0) + g * (before?.[i] ?? 0);
          next[i] = (next[i] ?? 0) + g * (values[k] ?? 0);
        }
      }
      behind = next;
    }
    return behind;
  }

  /** Moves towards another of the same sizes: all the way where `share` is 1. */
  follow({ parameters: { values: target } }: Mlp, share: number): void {
    const { values } = this.parameters;
    for (let i = 0; i < values.length; i++) {
      values[i] = (1 - share) * (values[i] ?? 0) + share * (target[i] ?? 0);
    }
  }
}

const [FIRST, SECOND, TINY] = [0.9, 0.999, 1e-8];

/** Adam (Kingma 2015) over the parameters of one network. */
export class Adam {
  readonly #parameters: Parameters;
  readonly #rate: number;
  readonly #mean: Float64Array;
  readonly #square: Float64Array;
  #steps = 0;

  constructor({ parameters }: Mlp, rate: number) {
    this.#parameters = parameters;
    this.#rate = rate;
    this.#mean = new Float64Array(parameters.values.length);
    this.#square = new Float64Array(parameters.values.length);
  }

  /** Takes a step down the gradients and sets them to zero. */
  step(): void {
    const { values, gradients } = this.#parameters;
    this.#steps += 1;
    const rate = (this.#rate * Math.sqrt(1 - SECOND ** this.#steps)) / (1 - FIRST ** this.#steps);
    for (let i = 0; i < values.length; i++) {
      const g = gradients[i] ?? 0;
      const mean = FIRST * (this.#mean[i] ?? 0) + (1 - FIRST) * g;
      const square = SECOND * (this.#square[i] ?? 0) + (1 - SECOND) * g * g;
      [this.#mean[i], this.#square[i]] = [mean, square];
      values[i] = (values[i] ?? 0) - (rate * mean) / (Math.sqrt(square) + TINY);
    }
    gradients.fill(0);
  }
}
