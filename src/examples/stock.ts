// What is stored, and who has to go for whom. Pure: knows no disk, no clock.
import type { ExamplesConfig } from '../config/index.js';
import type { PairRow } from '../store/index.js';
import { isAdmitted, type Newcomer, oneMore, overflowOf, type Stub, victimOf } from './reservoir.js';

export type StockRules = Pick<ExamplesConfig, 'maxMb' | 'maxAgeDays' | 'perPair' | 'perHour'>;

const MB = 1e6;
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
/** A pair's count of candidates halves in this share of the longest age: the reservoir follows the seasons. */
const HALF_LIFE = 0.25;

export class Stock {
  readonly #stubs = new Map<string, Stub>();
  readonly #flows = new Map<string, PairRow>();
  /** When those of each pair were taken that were stored in the last hour, removed ones too. */
  readonly #lately = new Map<string, number[]>();
  readonly #random: () => number;
  #bytes = 0;

  /** @param random 0..1 */
  constructor(stubs: readonly Stub[], flows: readonly PairRow[], random: () => number) {
    this.#random = random;
    for (const stub of stubs) this.keep(stub);
    for (const flow of flows) this.#flows.set(flow.pair, flow);
  }

  get size(): { readonly examples: number; readonly bytes: number } {
    return { examples: this.#stubs.size, bytes: this.#bytes };
  }

  get all(): Stub[] {
    return [...this.#stubs.values()];
  }

  has(id: string): boolean {
    return this.#stubs.has(id);
  }

  flow(pair: string): PairRow | undefined {
    return this.#flows.get(pair);
  }

  keep(stub: Stub): void {
    this.drop(stub.id);
    this.#stubs.set(stub.id, stub);
    this.#bytes += stub.bytes;
    const lately = this.#lately.get(stub.pair);
    if (lately === undefined) this.#lately.set(stub.pair, [stub.takenMs]);
    else lately.push(stub.takenMs);
  }

  /** Returns whether it was there. */
  drop(id: string): boolean {
    this.#bytes -= this.#stubs.get(id)?.bytes ?? 0;
    return this.#stubs.delete(id);
  }

  setLabelled(id: string, labelled: boolean): void {
    const stub = this.#stubs.get(id);
    if (stub !== undefined) this.#stubs.set(id, { ...stub, labelled });
  }

  /**
   * Counts a newcomer, and decides.
   * @param before newcomers that were let in and are not stored yet
   * @returns who goes for it; `undefined` when it is not let in
   */
  admit(
    newcomer: Newcomer,
    before: readonly Newcomer[],
    rules: StockRules,
    nowMs: number,
  ): Stub[] | undefined {
    const { pair } = newcomer;
    const { perPair, perHour, maxMb, maxAgeDays } = rules;
    const flow = { pair, ...oneMore(this.#flows.get(pair), nowMs, HALF_LIFE * maxAgeDays * DAY_MS) };
    this.#flows.set(pair, flow);
    const group = this.all.filter((stub) => stub.pair === pair);
    const ahead = before.filter((other) => other.pair === pair).length;
    const lately = (this.#lately.get(pair) ?? []).filter((takenMs) => takenMs > nowMs - HOUR_MS);
    this.#lately.set(pair, lately);
    if (lately.length + ahead >= perHour) return undefined;
    const held = group.filter(({ labelled }) => !labelled).length + ahead;
    if (!isAdmitted(flow, held, perPair, this.#random)) return undefined;
    const gone: Stub[] = [];
    if (held >= perPair) {
      const victim = victimOf(group, this.#random);
      if (victim === undefined) return undefined;
      gone.push(victim);
    }
    const coming = [...before, newcomer];
    const bytes = coming.reduce((sum, other) => sum + other.bytes, 0);
    if (bytes > maxMb * MB) return undefined;
    const freed = gone.reduce((sum, stub) => sum + stub.bytes, 0);
    const excess = this.#bytes - freed + bytes - maxMb * MB;
    const others = this.all.filter((stub) => !gone.includes(stub));
    const more = overflowOf(others, excess, this.#random, coming);
    // What somebody labelled does not make room for what nobody did, nor a small pair for a large one.
    if (more.some(({ labelled }) => labelled)) return undefined;
    return more.reduce((sum, stub) => sum + stub.bytes, 0) < excess ? undefined : [...gone, ...more];
  }

  expired({ maxAgeDays }: StockRules, nowMs: number): Stub[] {
    return this.all.filter(({ takenMs }) => takenMs < nowMs - maxAgeDays * DAY_MS);
  }

  /** What is beyond the limits: the oldest of a pair, then of the largest pairs. */
  excess({ perPair, maxMb }: StockRules): Stub[] {
    const groups = new Map<string, Stub[]>();
    for (const stub of this.#stubs.values()) {
      if (!stub.labelled) groups.set(stub.pair, [...(groups.get(stub.pair) ?? []), stub]);
    }
    const gone = new Set(
      [...groups.values()].flatMap((group) =>
        group.sort((a, b) => a.takenMs - b.takenMs).slice(0, Math.max(0, group.length - perPair)),
      ),
    );
    const left = this.all.filter((stub) => !gone.has(stub));
    const bytes = left.reduce((sum, stub) => sum + stub.bytes, 0);
    return [...gone, ...overflowOf(left, bytes - maxMb * MB, this.#random)];
  }
}
