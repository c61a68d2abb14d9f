// Steps that are done once: what each came to lies in a file, so that a process that is killed goes on with the step it was at.
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { writeFileAtomic } from '../system/index.js';

const recordSchema = z.strictObject({
  /** SHA-256 of what the step was asked for. */
  asked: z.string(),
  tookMs: z.number().nonnegative(),
  output: z.unknown(),
});

/** A folder of steps that were done for one purpose. Nothing is kept of a step that failed. */
export class Checkpoints {
  readonly #folder: string;
  readonly #asked: string;
  readonly #times = new Map<string, number>();

  /** @param asked all that the steps' outputs depend on; what was kept for something else is done anew */
  constructor(folder: string, asked: unknown) {
    this.#folder = folder;
    this.#asked = createHash('sha256').update(JSON.stringify(asked)).digest('hex');
    mkdirSync(folder, { recursive: true });
  }

  /** Milliseconds that each step took, those before a kill included. */
  get times(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#times);
  }

  /** What was kept of a step; `undefined` where it is to be done. */
  kept<T>(step: string, schema: z.ZodType<T>): T | undefined {
    let text: string;
    try {
      text = readFileSync(this.#pathOf(step), 'utf8');
    } catch {
      return undefined;
    }
    try {
      const record = recordSchema.parse(JSON.parse(text));
      const output = schema.safeParse(record.output);
      if (record.asked !== this.#asked || !output.success) return undefined;
      this.#times.set(step, record.tookMs);
      return output.data;
    } catch {
      return undefined;
    }
  }

  /**
   * The output of a step: what was kept, else what `work` gives. Both come out of the same text, so that a run that was
   * interrupted goes on with the very same values.
   *
   * @param step a name of letters, digits and `-`
   * @param schema of the output as JSON
   */
  async once<T>(step: string, schema: z.ZodType<T>, work: () => unknown): Promise<T> {
    const kept = this.kept(step, schema);
    return kept === undefined ? this.anew(step, schema, work) : kept;
  }

  /** The output of a step that is done whether one was kept or not; what was kept stays until then. */
  async anew<T>(step: string, schema: z.ZodType<T>, work: () => unknown): Promise<T> {
    const started = performance.now();
    const output: unknown = await work();
    const record = { asked: this.#asked, tookMs: Math.round(performance.now() - started), output };
    const text = JSON.stringify(record);
    writeFileAtomic(this.#pathOf(step), text);
    this.#times.set(step, record.tookMs);
    return schema.parse(recordSchema.parse(JSON.parse(text)).output);
  }

  /** Names of the steps of which anything is kept, be it for something else. */
  steps(): string[] {
    return readdirSync(this.#folder).flatMap((name) => (name.endsWith('.json') ? [name.slice(0, -5)] : []));
  }

  /** What was kept of a step is gone. */
  forget(step: string): void {
    rmSync(this.#pathOf(step), { force: true });
  }

  #pathOf(step: string): string {
    return join(this.#folder, `${step}.json`);
  }
}
