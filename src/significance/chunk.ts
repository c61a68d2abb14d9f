// The pictures of one evaluation: FP32 rows, windows of the maps before the heads, and rows from perturbed ones.
import { BitlaneError } from '../errors.js';
import { floatTensor, type Session, type Tensors } from '../runtime/index.js';
import type { AlonePart } from './alone.js';
import { type Rows, takeRows } from './rows.js';
import { cutWindow, type Level, windowAt, type Windows } from './windows.js';

/** One picture, and the rows of the output that are looked at in it. */
export interface Look {
  readonly feed: Tensors;
  readonly rows: readonly number[];
}

/** The head of one map size at work. */
export interface OpenLevel {
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

const NOTHING = new Map<string, Float32Array>();

/** The looks of one run: FP32 rows, and windows of the maps before the heads. */
export class Chunk {
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
