// What a detector says at given rows of its output with each component perturbed alone: exact, and no more computed than that takes.
import { BitlaneError } from '../errors.js';
import { type Model, writeModel } from '../onnx/index.js';
import type { Component } from '../quantization/index.js';
import type { DetectorSpec } from '../registry/index.js';
import { floatTensor, openSession, type Session, type Tensors, withSession } from '../runtime/index.js';
import { AlonePart, type LayerErrors, type Perturbation } from './alone.js';
import { type Rows, rowsOf, takeRows } from './rows.js';
import { cutWindow, type Level, windowAt, type Windows, windowsOf } from './windows.js';

const SESSION = { threads: 1 } as const;

/** One picture, and the rows of the output that are looked at in it. */
export interface Look {
  readonly feed: Tensors;
  readonly rows: readonly number[];
}

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

/** The head of one map size at work. */
interface OpenLevel {
  readonly level: Level;
  readonly session: Session;
  readonly alone: AlonePart;
}

/** An object's row: where it stands among all, and which window of its level it is. */
interface Spot {
  readonly index: number;
  readonly look: number;
  readonly row: number;
}

const dataOf = (tensors: Tensors, name: string): Float32Array => {
  const tensor = tensors[name];
  if (tensor?.type !== 'float32') throw new BitlaneError('INTERNAL', `the model gave no FP32 value ${name}`);
  return tensor.data;
};

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
   * @param model from `prepareModel`
   * @param options `windows: false` computes heads whole
   * @throws BitlaneError `UNSUPPORTED` for a head without class distribution
   */
  static async open(
    model: Model,
    spec: DetectorSpec,
    options: { readonly windows?: boolean } = {},
  ): Promise<Evaluator> {
    const { name, width, height } = spec.input;
    const blank = { [name]: floatTensor([1, 3, height, width]) };
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

const NOTHING = new Map<string, Float32Array>();

/** The looks of one run: FP32 rows, and windows of the maps before the heads. */
class Chunk {
  readonly plain: Float32Array;
  readonly #rows: Rows;
  readonly #looks: readonly Look[];
  readonly #levels: readonly OpenLevel[];
  /** The objects of each level. */
  readonly #spots: readonly (readonly Spot[])[];
  readonly #starts: readonly number[];
  /** FP32 windows of each level, by the frontier's names. */
  readonly #windows: readonly Map<string, Float32Array>[];
  /** The same of each perturbation, and whether it reaches them. */
  readonly #perturbed = new Map<number, { maps: Map<string, Float32Array>; reached: boolean }[]>();

  constructor(
    looks: readonly Look[],
    rows: Rows,
    windows: Windows | undefined,
    levels: readonly OpenLevel[],
  ) {
    this.#rows = rows;
    this.#looks = looks;
    this.#levels = levels;
    const starts: number[] = [];
    let index = 0;
    const spots = levels.map((): Spot[] => []);
    for (const [look, { rows: wanted }] of looks.entries()) {
      starts.push(index);
      for (const row of wanted) {
        if (windows !== undefined) spots[windows.level[row] ?? 0]?.push({ index, look, row });
        index++;
      }
    }
    this.#starts = starts;
    this.#spots = spots;
    this.#cells = windows?.cell;
    this.plain = new Float32Array(index * rows.columns.length);
    this.#windows = levels.map(({ level }, i) => this.#room(level, spots[i]?.length ?? 0));
  }

  readonly #cells: Int32Array | undefined;

  #room({ frontier, window }: Level, count: number): Map<string, Float32Array> {
    const size = count * window.width * window.height;
    return new Map(frontier.map(({ name, channels }) => [name, new Float32Array(size * channels)]));
  }

  #cut(look: number, outputs: Tensors, into: (level: number) => Map<string, Float32Array>): boolean[] {
    return this.#levels.map(({ level }, index) => {
      let found = false;
      for (const { name, channels } of level.frontier) {
        if (outputs[name] === undefined) continue;
        const map = dataOf(outputs, name);
        const size = channels * level.window.width * level.window.height;
        for (const [slot, spot] of (this.#spots[index] ?? []).entries()) {
          if (spot.look !== look) continue;
          const room = into(index).get(name);
          if (room !== undefined) {
            cutWindow(map, channels, level, this.#cells?.[spot.row] ?? 0, room, slot * size);
          }
          found = true;
        }
      }
      return found;
    });
  }

  /** Takes in what FP32 says of a look. */
  keep(look: number, outputs: Tensors): void {
    if (this.#levels.length === 0) this.#takeWhole(look, outputs, this.plain);
    else this.#cut(look, outputs, (level) => this.#windows[level] ?? NOTHING);
  }

  #takeWhole(look: number, outputs: Tensors, into: Float32Array): void {
    const { columns } = this.#rows;
    const start = (this.#starts[look] ?? 0) * columns.length;
    const wanted = this.#looks[look]?.rows ?? [];
    if (this.#rows.outputs.every((name) => outputs[name] !== undefined)) {
      into.set(takeRows(this.#rows, outputs, wanted), start);
      return;
    }
    // Of a head with several outputs some are not reached: those keep what FP32 says.
    let at = start;
    for (const row of wanted) {
      for (const column of columns) {
        const { output, element } = column(row);
        const tensor = outputs[output];
        if (tensor !== undefined) into[at] = Number(tensor.data[element]);
        at++;
      }
    }
  }

  /** FP32 rows from FP32 windows. */
  async settle(): Promise<void> {
    for (const index of this.#levels.keys()) {
      const windows = this.windowsOf(index);
      if (windows === undefined) continue;
      const outputs = await this.#levels[index]?.session.run(windows);
      if (outputs !== undefined) this.place(index, outputs, this.plain);
    }
  }

  #feeds(index: number, maps: ReadonlyMap<string, Float32Array>): Tensors | undefined {
    const [level, count] = [this.#levels[index]?.level, this.#spots[index]?.length ?? 0];
    if (level === undefined || count === 0) return undefined;
    const { frontier, window } = level;
    return Object.fromEntries(
      frontier.map(({ name, channels }) => [
        name,
        floatTensor([count, channels, window.height, window.width], maps.get(name)),
      ]),
    );
  }

  /** FP32 windows of a level; undefined where no object stands in it. */
  windowsOf(index: number): Tensors | undefined {
    return this.#feeds(index, this.#windows[index] ?? NOTHING);
  }

  /** Takes in what a perturbed trunk gives of a look. */
  take(look: number, variant: number, outputs: Tensors, rows: Float32Array): void {
    if (this.#levels.length === 0) {
      this.#takeWhole(look, outputs, rows);
      return;
    }
    const own =
      this.#perturbed.get(variant) ??
      this.#windows.map((maps) => ({
        maps: new Map([...maps].map(([name, data]) => [name, data.slice()])),
        reached: false,
      }));
    this.#perturbed.set(variant, own);
    const found = this.#cut(look, outputs, (level) => own[level]?.maps ?? NOTHING);
    for (const [index, level] of own.entries()) level.reached ||= found[index] === true;
  }

  /** The rows of a perturbed trunk, once it has seen all looks. */
  async finish(variant: number, rows: Float32Array): Promise<void> {
    const own = this.#perturbed.get(variant);
    if (own === undefined) return;
    for (const [index, level] of own.entries()) {
      const feeds = level.reached ? this.#feeds(index, level.maps) : undefined;
      const outputs = feeds === undefined ? undefined : await this.#levels[index]?.session.run(feeds);
      if (outputs !== undefined) this.place(index, outputs, rows);
      // The next component may not reach all of the maps.
      for (const [name, data] of level.maps) data.set(this.#windows[index]?.get(name) ?? data);
      level.reached = false;
    }
  }

  /** Puts the rows of a level where they belong; outputs that are not there leave them as they are. */
  place(index: number, outputs: Tensors, rows: Float32Array): void {
    const level = this.#levels[index]?.level;
    if (level === undefined) return;
    const { window, sources, width } = level;
    const area = window.width * window.height;
    const channels = new Map(
      Object.entries(outputs).map(([name, { dims }]) => [name, dims[1] ?? 0] as const),
    );
    for (const [slot, spot] of (this.#spots[index] ?? []).entries()) {
      const cell = this.#cells?.[spot.row] ?? 0;
      const { left, top } = windowAt(level, cell);
      const at = (Math.floor(cell / width) - top) * window.width + (cell % width) - left;
      for (const [column, { map, channel }] of sources.entries()) {
        const all = channels.get(map);
        if (all === undefined) continue;
        const value = dataOf(outputs, map)[(slot * all + channel) * area + at];
        rows[spot.index * sources.length + column] = value ?? 0;
      }
    }
  }
}
