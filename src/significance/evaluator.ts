// What a detector says at given rows of its output with each component perturbed alone: exact, and no more computed than that takes.
import { type Model, writeModel } from '../onnx/index.js';
import type { Component } from '../quantization/index.js';
import type { DetectorSpec } from '../registry/index.js';
import { openSession, type Session, withSession } from '../runtime/index.js';
import { inputTensor, newInputData } from '../vision/index.js';
import { AlonePart, type LayerErrors, type Perturbation } from './alone.js';
import { Chunk, type Look, type OpenLevel } from './chunk.js';
import { type Rows, rowsOf } from './rows.js';
import { withExactScores } from './scores.js';
import { type Windows, windowsOf } from './windows.js';

const SESSION = { threads: 1 } as const;

export interface EvaluateAloneOptions {
  readonly perturbations: (component: Component) => readonly Perturbation[];
  /** After each component: the rows of all looks, one behind the other, for each perturbation. */
  readonly done: (
    component: Component,
    rows: readonly Float32Array[],
    errors: readonly LayerErrors[],
  ) => void | Promise<void>;
  readonly signal?: AbortSignal;
}

/** Evaluates one model. Blocks the thread while it runs; `release` it. */
export class Evaluator {
  readonly rows: Rows;
  /** Whether heads are computed around the rows only. */
  readonly isWindowed: boolean;
  readonly #windows: Windows | undefined;
  readonly #levels: readonly OpenLevel[];
  readonly #trunk: AlonePart;
  readonly #trunkSession: Session;

  private constructor(
    rows: Rows,
    windows: Windows | undefined,
    levels: readonly OpenLevel[],
    trunk: AlonePart,
    trunkSession: Session,
  ) {
    this.rows = rows;
    this.isWindowed = windows !== undefined;
    this.#windows = windows;
    this.#levels = levels;
    this.#trunk = trunk;
    this.#trunkSession = trunkSession;
  }

  /**
   * @param source from `prepareModel`
   * @param options `windows: false` computes heads whole
   * @throws BitlaneError `UNSUPPORTED` for a head without class distribution
   */
  static async open(
    source: Model,
    spec: DetectorSpec,
    options: { readonly windows?: boolean } = {},
  ): Promise<Evaluator> {
    const model = withExactScores(source);
    const blank = { [spec.input.name]: inputTensor(spec.input, newInputData(spec.input)) };
    const outputs = await withSession(writeModel(model), SESSION, (session) => session.run(blank));
    const rows = rowsOf(spec, outputs);
    const windows =
      options.windows === false ? undefined : await windowsOf(model, rows.outputs, rows.count, rows.columns);
    const opened: Session[] = [];
    try {
      const levels: OpenLevel[] = [];
      for (const level of windows?.levels ?? []) {
        const session = await openSession(writeModel(level.part), SESSION);
        opened.push(session);
        levels.push({ level, session, alone: new AlonePart(level.part) });
      }
      const trunk = new AlonePart(windows?.trunk ?? model);
      const session = await openSession(writeModel(trunk.part), SESSION);
      opened.push(session);
      return new Evaluator(rows, windows, levels, trunk, session);
    } catch (error) {
      for (const session of opened) await session.release();
      throw error;
    }
  }

  async release(): Promise<void> {
    for (const { session } of this.#levels) await session.release();
    await this.#trunkSession.release();
  }

  /** Components that reach the output, in the order in which they are evaluated. */
  get components(): readonly Component[] {
    return [...this.#trunk.components, ...this.#levels.flatMap(({ alone }) => alone.components)];
  }

  /** Bytes that one picture takes while components are evaluated. */
  get bytesPerPicture(): number {
    return 4 * this.#trunk.peakFloats;
  }

  /** The rows in FP32, one behind the other. */
  async plain(looks: readonly Look[]): Promise<Float32Array> {
    return (await this.#chunk(looks)).plain;
  }

  /** Perturbs one component after the other. Memory: {@link bytesPerPicture} for each look. */
  async run(looks: readonly Look[], options: EvaluateAloneOptions): Promise<void> {
    const chunk = await this.#chunk(looks);
    const { signal } = options;
    const given = { perturbations: options.perturbations, ...(signal && { signal }) };
    let rows: Float32Array[] = [];
    let current: Component | undefined;
    /** The rows of each perturbation: FP32's until it reaches them. */
    const rowsFor = (component: Component, variant: number): Float32Array => {
      if (current !== component) [current, rows] = [component, []];
      return (rows[variant] ??= chunk.plain.slice());
    };
    const finish = async (component: Component, errors: readonly LayerErrors[]): Promise<void> => {
      const all = errors.map((_, variant) => rowsFor(component, variant));
      await options.done(component, all, errors);
    };
    await this.#trunk.run(
      looks.map(({ feed }) => feed),
      {
        ...given,
        visit: ({ component }, variant, look, outputs) =>
          chunk.take(look, variant, outputs, rowsFor(component, variant)),
        done: async (component, errors) => {
          for (const variant of errors.keys()) await chunk.finish(variant, rowsFor(component, variant));
          await finish(component, errors);
        },
      },
    );
    for (const [index, { alone }] of this.#levels.entries()) {
      const windows = chunk.windowsOf(index);
      if (windows === undefined) {
        // No object stands in this level: its components change nothing here.
        for (const component of alone.components) {
          const none = { noise: 0, signal: 0 };
          const errors = options.perturbations(component).map(() => ({ output: none, input: none }));
          if (errors.length > 0) await finish(component, errors);
        }
        continue;
      }
      await alone.run([windows], {
        ...given,
        visit: ({ component }, variant, _, outputs) =>
          chunk.place(index, outputs, rowsFor(component, variant)),
        done: finish,
      });
    }
  }

  async #chunk(looks: readonly Look[]): Promise<Chunk> {
    const chunk = new Chunk(looks, this.rows, this.#windows, this.#levels);
    for (const [look, { feed }] of looks.entries()) {
      chunk.keep(look, await this.#trunkSession.run(feed));
    }
    await chunk.settle();
    return chunk;
  }
}
