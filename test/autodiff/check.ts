// Judges a gradient: onnxruntime's forward output against the reference, its gradients against the reference's central differences.
import fc, { type Arbitrary, type GeneratorValue } from 'fast-check';
import type { Test } from 'tap';
import { gradient, GRADIENT_SESSION, type GradientOptions } from '../../src/autodiff/index.js';
import {
  type Model,
  type Tensor as Constant,
  tensorOf,
  type Value,
  writeModel,
} from '../../src/onnx/index.js';
import { type Tensors, withSession } from '../../src/runtime/index.js';
import { numbers } from '../onnx/bits.js';
import { Net } from '../onnx/net.js';
import { type Array64, evaluate, type Frozen } from './reference.js';

const STEP = 1e-6;
/** How far values stay away from corners and ties. */
const MARGIN = 2e-3;
const TOLERANCE = 1e-3;

const sizeOf = (dims: readonly number[]): number => dims.reduce((a, b) => a * b, 1);

export interface Filling {
  readonly low?: number;
  readonly high?: number;
  /** Values where a function has a corner: none is drawn near them. */
  readonly kinks?: readonly number[];
}

/** A network under test: draws its shapes and attributes, and remembers the values of its inputs. */
export class Trial extends Net {
  readonly #draw: GeneratorValue;
  readonly #seed: number;
  readonly given = new Map<string, Array64>();

  constructor(draw: GeneratorValue, opset = 18) {
    super(opset);
    this.#draw = draw;
    this.#seed = draw(fc.integer, { min: 1, max: 2 ** 30 });
  }

  draw<T>(arbitrary: () => Arbitrary<T>): T {
    return this.#draw(arbitrary);
  }

  int(min: number, max: number): number {
    return this.#draw(fc.integer, { min, max });
  }

  flag(): boolean {
    return this.#draw(fc.boolean);
  }

  pick<T>(...values: readonly T[]): T {
    return values[this.int(0, values.length - 1)] as T;
  }

  ints(count: number, min: number, max: number): number[] {
    return Array.from({ length: count }, () => this.int(min, max));
  }

  /** A float input. No two of its values, nor of two inputs, are alike or close: nothing is a tie. */
  x(dims: readonly number[], { low = -2, high = 2, kinks = [] }: Filling = {}): Value {
    const name = `x${this.given.size}`;
    const size = sizeOf(dims);
    const next = numbers(this.#seed + this.given.size);
    const order = Array.from({ length: size }, (_, i) => i);
    for (let i = size - 1; i > 0; i--) {
      const j = Math.floor(next() * (i + 1));
      [order[i], order[j]] = [order[j] ?? 0, order[i] ?? 0];
    }
    // Even spacing; another offset for each input.
    const step = (high - low) / size;
    const offset = 0.1 + ((0.37 * this.given.size) % 0.8);
    const data = Float64Array.from(order, (place) => {
      let value = low + step * (place + offset);
      while (kinks.some((kink) => Math.abs(value - kink) < MARGIN)) value += 2.5 * MARGIN;
      return Math.fround(value);
    });
    this.given.set(name, { dims: [...dims], data });
    return this.input(name, dims);
  }

  /** A constant of floats. */
  floats(dims: readonly number[], values: readonly number[]): Constant {
    return tensorOf('float32', dims, Float32Array.from(values));
  }
}

const norm = (values: readonly number[]): number => Math.hypot(...values);

/** The error of `actual`, as a share of `expected`'s size, or of `least` where that is more. */
export const relative = (actual: readonly number[], expected: readonly number[], least = 1e-3): number =>
  norm(actual.map((value, i) => value - (expected[i] ?? NaN))) / Math.max(norm(expected), least);

const feedsOf = (given: ReadonlyMap<string, Array64>): Tensors =>
  Object.fromEntries(
    [...given].map(([name, { dims, data }]) => [
      name,
      { type: 'float32' as const, dims, data: Float32Array.from(data) },
    ]),
  );

const listed = (data: ArrayLike<number | bigint>): number[] => Array.from(data, Number);

/** Adds `loss`: the sum of the outputs' elements, each times a number of its own. */
export const addLoss = (
  net: Trial,
  outputs: readonly Value[],
  shapes: readonly (readonly number[])[],
): Model => {
  const sums = outputs.map((y, i) => {
    const weights = net.weights(shapes[i] ?? [], 0.3, 1.5);
    return net.op('ReduceSum', [net.op('Mul', [y, weights])], { keepdims: 0 });
  });
  const loss = net.op('Sum', sums);
  net.graph.rename(loss, 'loss');
  return net.model(...outputs, loss);
};

/**
 * Compares; throws with what differs.
 *
 * @param samples elements of each input that are moved
 */
export const judge = async (
  model: Model,
  given: ReadonlyMap<string, Array64>,
  options: Omit<GradientOptions, 'loss'>,
  samples = 16,
): Promise<void> => {
  const frozen: Frozen = new Map();
  const base = evaluate(model, given, frozen);
  const built = gradient(model, { loss: 'loss', ...options });
  const results = await withSession(writeModel(built.model), GRADIENT_SESSION, (session) =>
    session.run(feedsOf(given)),
  );
  const outputOf = (name: string): number[] => {
    const result = results[name];
    if (result === undefined) throw new Error(`no output ${name}`);
    return listed(result.data);
  };
  for (const { name } of model.graph.outputs) {
    if (options.outputs?.includes(name) === false) continue;
    const expected = listed(base.get(name)?.data ?? []);
    // Terms of a sum may cancel: what is left of them is as exact as they were.
    const error = relative(outputOf(name), expected, expected.length === 1 ? 1 : undefined);
    if (!(error < 1e-4)) throw new Error(`forward ${name} is off by ${error}: the reference is wrong`);
  }
  const lossAt = (name: string, index: number, by: number): number => {
    const array = given.get(name);
    if (array === undefined) throw new Error(`no input ${name}`);
    const data = array.data.slice();
    data[index] = (data[index] ?? 0) + by;
    const moved = evaluate(model, new Map([...given, [name, { dims: array.dims, data }]]), new Map(frozen));
    return moved.get('loss')?.data[0] ?? NaN;
  };
  for (const name of options.of) {
    const gradients = outputOf(built.gradients.get(name) ?? '');
    const stride = Math.max(1, Math.floor(gradients.length / samples));
    const places = gradients.flatMap((_, i) => (i % stride === 0 ? [i] : []));
    const expected = places.map((i) => (lossAt(name, i, STEP) - lossAt(name, i, -STEP)) / (2 * STEP));
    const actual = places.map((i) => gradients[i] ?? NaN);
    const error = relative(actual, expected);
    if (!(error <= TOLERANCE)) {
      throw new Error(
        `the gradient of ${name} is off by ${error}: ${actual.join(' ')} for ${expected.join(' ')}`,
      );
    }
  }
};

/** One operator at work: gives what it computes. */
export type Build = (net: Trial) => Value | readonly Value[];

/** Judges the gradients of all inputs of networks that `build` draws. */
export const gradients = (
  t: Test,
  name: string,
  build: Build,
  { runs = 6, opset = 18, of }: { runs?: number; opset?: number; of?: readonly string[] } = {},
): void => {
  void t.test(name, async (t) => {
    let judged = 0;
    await fc.assert(
      fc.asyncProperty(fc.gen(), async (draw) => {
        const net = new Trial(draw, opset);
        const built = build(net);
        const outputs: readonly Value[] = Array.isArray(built)
          ? (built as readonly Value[])
          : [built as Value];
        const values = evaluate({ graph: net.graph } as Model, net.given);
        const shapes = outputs.map((y) => values.get(y.name)?.dims ?? []);
        await judge(addLoss(net, outputs, shapes), net.given, { of: of ?? [...net.given.keys()] });
        judged += 1;
      }),
      { numRuns: runs },
    );
    t.ok(judged >= runs, `${judged} networks`);
  });
};
