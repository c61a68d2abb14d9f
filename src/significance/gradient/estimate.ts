// Estimates what rounding each filter alone does to the critical classes, for all filters at once, from gradients.
import { BitlaneError } from '../../errors.js';
import { type Model, writeModel } from '../../onnx/index.js';
import type { Component } from '../../quantization/index.js';
import type { DetectorSpec } from '../../registry/index.js';
import { floatTensor, openSession, type Session, type Tensors } from '../../runtime/index.js';
import type { ClassSpace } from '../compact.js';
import { looksAt } from '../looks.js';
import type { CriticalSet } from '../measures.js';
import type { FoundObjects, PictureObjects } from '../objects.js';
import { type Rows, rowsOf, takeRows } from '../rows.js';
import { randomNumbers } from '../statistics.js';
import { type Question, questionsOf, type Seen, type Tallies } from './questions.js';
import { responseModels, type ResponseModels, type RoundedComponent } from './response-models.js';
import { headOutputs } from './seeded.js';
import { Tally } from './tally.js';

export interface EstimateOptions {
  /** From `prepareModel`. */
  readonly model: Model;
  readonly detector: DetectorSpec;
  readonly space: ClassSpace;
  readonly found: FoundObjects;
  /** Of the found objects. */
  readonly critical: CriticalSet;
  /** Every one with the same bit-widths, in the same order. */
  readonly roundings: readonly RoundedComponent[];
  /** Directions of a picture for its critical objects, at most (default 8). */
  readonly directions?: number;
  /** Whether guards are estimated (default true). */
  readonly guards?: boolean;
  readonly signal?: AbortSignal;
  readonly onProgress?: (done: number, all: number) => void;
}

/** Estimates of all filters, one behind the other, at each bit-width: place `(first + filter) * widths + width`. */
export interface FilterEstimates {
  readonly components: readonly { readonly component: Component; readonly first: number }[];
  readonly filters: number;
  readonly widths: number;
  readonly tallies: Tallies;
  /** Backward passes that were run. */
  readonly passes: number;
}

const DIRECTIONS = 8;
const SESSION = { threads: 1 } as const;

const tensorsLike = (tensors: Tensors): Tensors =>
  Object.fromEntries(Object.entries(tensors).filter(([, { type }]) => type === 'float32'));

/** The two models at work. */
export class Responder {
  readonly #models: ResponseModels;
  readonly #forward: Session;
  readonly #backward: Session;
  readonly #starts: readonly number[];
  readonly #size: number;
  readonly #seeds: Readonly<Record<string, Float32Array>>;
  readonly #seedFeeds: Tensors;
  #values: Tensors = {};
  #answers: Tensors = {};

  private constructor(models: ResponseModels, forward: Session, backward: Session, widths: number) {
    this.#models = models;
    this.#forward = forward;
    this.#backward = backward;
    const starts: number[] = [];
    let size = 0;
    for (const { component } of models.answers) {
      starts.push(size);
      size += component.outputChannels * widths;
    }
    this.#starts = starts;
    this.#size = size;
    const feeds = [...models.seeds].map(([output, { input, dims }]) => {
      const data = new Float32Array(dims.reduce((product, dim) => product * dim, 1));
      return { output, input, data, tensor: floatTensor(dims, data) };
    });
    this.#seeds = Object.fromEntries(feeds.map(({ output, data }) => [output, data]));
    this.#seedFeeds = Object.fromEntries(feeds.map(({ input, tensor }) => [input, tensor]));
  }

  static async open(models: ResponseModels, widths: number): Promise<Responder> {
    const forward = await openSession(writeModel(models.forward), SESSION);
    try {
      return new Responder(models, forward, await openSession(writeModel(models.backward), SESSION), widths);
    } catch (error) {
      await forward.release();
      throw error;
    }
  }

  async release(): Promise<void> {
    await this.#forward.release();
    await this.#backward.release();
  }

  get size(): number {
    return this.#size;
  }

  /** Takes a picture; returns what the model says of it. Valid until the next one. */
  async look(feed: Tensors): Promise<Tensors> {
    this.#values = await this.#forward.run(feed, tensorsLike(this.#values));
    return this.#values;
  }

  /** The responses of all filters to a direction, in the picture that was looked at. */
  async respond(direction: Question['directions'][number]): Promise<Float32Array> {
    for (const { output, element, weight } of direction) {
      const seeds = this.#seeds[output];
      if (seeds !== undefined) seeds[element] = (seeds[element] ?? 0) + weight;
    }
    const taken = new Set(this.#backward.inputs.map(({ name }) => name));
    const feeds = Object.fromEntries(
      Object.entries({ ...this.#values, ...this.#seedFeeds }).filter(([name]) => taken.has(name)),
    );
    this.#answers = await this.#backward.run(feeds, tensorsLike(this.#answers));
    for (const { output, element } of direction) {
      const seeds = this.#seeds[output];
      if (seeds !== undefined) seeds[element] = 0;
    }
    const all = new Float32Array(this.#size);
    for (const [index, { output }] of this.#models.answers.entries()) {
      const answer = this.#answers[output];
      if (answer?.type !== 'float32')
        throw new BitlaneError('INTERNAL', `the gradients gave no FP32 value ${output}`);
      all.set(answer.data, this.#starts[index] ?? 0);
    }
    return all;
  }
}

const seenIn = (
  rows: Rows,
  outputs: Tensors,
  picture: PictureObjects,
  first: number,
  critical: CriticalSet,
): Seen[] =>
  picture.rows.flatMap((row, i) => {
    const reference = critical.references[first + i];
    return reference === undefined
      ? []
      : [{ reference, index: first + i, row, raw: takeRows(rows, outputs, [row]) }];
  });

/**
 * Estimates the divergence, the signed loss change and the guards of every filter at every bit-width. Logits are followed to first
 * order from behind each layer's function, distributions exactly from there. Memory does not grow with the pictures. Blocks the thread
 * while the model runs.
 *
 * @throws BitlaneError `BAD_MODEL` for an operator that has no gradient rule, or shapes that are not fixed
 */
export const estimateFilters = async (options: EstimateOptions): Promise<FilterEstimates> => {
  const { model, detector, space, found, critical, roundings, signal, guards = true } = options;
  const widths = roundings[0]?.layers.length ?? 0;
  const names = headOutputs(detector);
  const models = responseModels(model, names, roundings);
  const responder = await Responder.open(models, widths);
  try {
    const tally = (halvings?: number): Tally => new Tally(responder.size, halvings);
    const tallies: Tallies = {
      divergence: tally(),
      distance: tally(),
      signed: critical.isLabelled ? tally() : undefined,
      objectness: tally(0),
      box: tally(0),
      others: tally(0),
    };
    const random = randomNumbers(1);
    let [first, passes] = [0, 0];
    for (const [turn, picture] of found.pictures.entries()) {
      signal?.throwIfAborted();
      const [look] = await looksAt(detector, [picture]);
      if (look === undefined) continue;
      const outputs = await responder.look(look.feed);
      const rows = rowsOf(detector, outputs);
      const seen = seenIn(rows, outputs, picture, first, critical);
      first += picture.rows.length;
      const asked = { rows, space, critical, seen, random, most: options.directions ?? DIRECTIONS };
      for (const { directions, answer } of questionsOf(asked, tallies, turn, guards)) {
        const responses: Float32Array[] = [];
        for (const direction of directions) responses.push(await responder.respond(direction));
        passes += directions.length;
        answer(responses);
      }
      for (const each of Object.values(tallies) as (Tally | undefined)[]) each?.close();
      options.onProgress?.(turn + 1, found.pictures.length);
    }
    let filters = 0;
    const components = models.answers.map(({ component }) => {
      const own = { component, first: filters };
      filters += component.outputChannels;
      return own;
    });
    return { components, filters, widths, tallies, passes };
  } finally {
    await responder.release();
  }
};
