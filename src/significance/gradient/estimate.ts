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
const SESSION = { threads: 1, memoryPattern: false } as const;

/** Directions of a run: most pictures have one critical object or two and one guard. */
const TOGETHER = 3;

/** The two models at work. */
export class Responder {
  readonly #models: ResponseModels;
  readonly #plain: Session;
  readonly #responses: Session;
  readonly #starts: readonly number[];
  readonly #size: number;
  readonly #seeds: readonly Readonly<Record<string, Float32Array>>[];
  readonly #seedFeeds: Tensors;
  #feed: Tensors = {};

  private constructor(models: ResponseModels, plain: Session, responses: Session, widths: number) {
    this.#models = models;
    this.#plain = plain;
    this.#responses = responses;
    const starts: number[] = [];
    let size = 0;
    for (const { component } of models.answers) {
      starts.push(size);
      size += component.outputChannels * widths;
    }
    this.#starts = starts;
    this.#size = size;
    const feeds = models.seeds.map((seeds) =>
      [...seeds].map(([output, { input, dims }]) => {
        const data = new Float32Array(dims.reduce((product, dim) => product * dim, 1));
        return { output, input, data, tensor: floatTensor(dims, data) };
      }),
    );
    this.#seeds = feeds.map((set) => Object.fromEntries(set.map(({ output, data }) => [output, data])));
    this.#seedFeeds = Object.fromEntries(feeds.flat().map(({ input, tensor }) => [input, tensor]));
  }

  static async open(models: ResponseModels, widths: number): Promise<Responder> {
    const plain = await openSession(writeModel(models.plain), SESSION);
    try {
      return new Responder(models, plain, await openSession(writeModel(models.responses), SESSION), widths);
    } catch (error) {
      await plain.release();
      throw error;
    }
  }

  async release(): Promise<void> {
    await this.#plain.release();
    await this.#responses.release();
  }

  get size(): number {
    return this.#size;
  }

  /** Takes a picture; returns what the model says of it. */
  async look(feed: Tensors): Promise<Tensors> {
    this.#feed = feed;
    return this.#plain.run(feed);
  }

  /** The responses of all filters to each direction, in the picture that was looked at. */
  async respond(directions: Question['directions']): Promise<Float32Array[]> {
    const all: Float32Array[] = [];
    for (let at = 0; at < directions.length; at += this.#seeds.length) {
      all.push(...(await this.#run(directions.slice(at, at + this.#seeds.length))));
    }
    return all;
  }

  async #run(directions: Question['directions']): Promise<Float32Array[]> {
    this.#seed(directions, (seeds, element, weight) => (seeds[element] ?? 0) + weight);
    const answers = await this.#responses.run({ ...this.#feed, ...this.#seedFeeds });
    this.#seed(directions, () => 0);
    return directions.map((_, turn) => {
      const all = new Float32Array(this.#size);
      for (const [index, { outputs }] of this.#models.answers.entries()) {
        const name = outputs[turn] ?? '';
        const answer = answers[name];
        if (answer?.type !== 'float32')
          throw new BitlaneError('INTERNAL', `the gradients gave no FP32 value ${name}`);
        all.set(answer.data, this.#starts[index] ?? 0);
      }
      return all;
    });
  }

  /** Sets the seeds that the directions name. */
  #seed(
    directions: Question['directions'],
    change: (seeds: Float32Array, element: number, weight: number) => number,
  ): void {
    directions.forEach((direction, turn) => {
      for (const { output, element, weight } of direction) {
        const seeds = this.#seeds[turn]?.[output];
        if (seeds !== undefined) seeds[element] = change(seeds, element, weight);
      }
    });
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
  const models = responseModels(model, names, roundings, TOGETHER);
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
      const questions = questionsOf(asked, tallies, turn, guards);
      const responses = await responder.respond(questions.flatMap(({ directions }) => directions));
      passes += responses.length;
      for (const { directions, answer } of questions) answer(responses.splice(0, directions.length));
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
