// What the loop knows from one adaptation to the next; it survives a restart.
import { z } from 'zod';
import { messageOf } from '../../errors.js';
import { artifactIdSchema } from '../../registry/index.js';
import type { KeyValue } from '../../store/index.js';
import type { Log } from '../../system/index.js';
import { budgetSchema } from '../job/job.js';
import { ladderSchema } from './ladder.js';

const KEY = 'adaptation';
/** Measured once, a frame beside the run of its model is believed this far. */
const TRUST = 0.5;

// What a later version knows besides is left out, not a reason to forget the rest.
const memorySchema = z.object({
  lastEndMs: z.number().optional(),
  /** Pairs that the bits of the last committed model were given for. */
  adaptedTo: z.array(z.tuple([z.string(), z.string()])).optional(),
  /** The budget it was made within, and the one that was configured then. */
  budget: budgetSchema.optional(),
  configured: budgetSchema.optional(),
  /** The one that was configured when the adaptation that runs was begun. */
  configuredAtBegin: budgetSchema.optional(),
  /** p95 of a frame in the detector over the median of a run, by the FP32 model's id. */
  frameOverRun: z.record(artifactIdSchema, z.number()).default({}),
  ladder: ladderSchema.default([]),
  /** Artifacts that the loop installed. */
  owned: z.array(artifactIdSchema).default([]),
  /** Candidates in a row that missed their budget. */
  misses: z.int().default(0),
});
export type Memory = z.output<typeof memorySchema>;

export class LoopMemory {
  readonly #store: KeyValue;
  readonly #log: Log;
  #value: Memory;

  constructor(store: KeyValue, log: Log) {
    this.#store = store;
    this.#log = log;
    this.#value = store.get(KEY, memorySchema) ?? memorySchema.parse({});
  }

  get value(): Readonly<Memory> {
    return this.#value;
  }

  set(change: Partial<Memory>): void {
    this.#value = { ...this.#value, ...change };
    try {
      this.#store.set(KEY, this.#value);
    } catch (error) {
      // A disk that takes nothing must not end the loop: it is known until the next start.
      this.#log.warn(`what the loop learned could not be kept: ${messageOf(error)}`);
    }
  }

  /** Learns what frames take beside the run that was promised. */
  learn(parent: string, p95Ms: number, runMs: number): void {
    if (!(runMs > 0) || !(p95Ms > 0)) return;
    const seen = Math.max(1, p95Ms / runMs);
    const before = this.#value.frameOverRun[parent];
    // A miss counts in full: the next candidate is to be within the budget.
    const next = before === undefined || seen > before ? seen : before + TRUST * (seen - before);
    this.set({ frameOverRun: { ...this.#value.frameOverRun, [parent]: next } });
  }
}
