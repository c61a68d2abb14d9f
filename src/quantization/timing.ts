// How fast models are beside each other: run in turns, one thread, in a child process.
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { BitlaneError } from '../errors.js';
import { type Interval, medianInterval } from '../evaluation/index.js';
import { spawnOwned, stopChild } from '../system/index.js';
import { timingReplySchema, type TimingRequest } from './timing-messages.js';

/** Does work that goes by the clock so that whoever shares the processor knows of it. */
export type Timed = <T>(work: () => Promise<T>) => Promise<T>;

/** Where nobody has to know of it. */
export const untold: Timed = (work) => work();

export interface TimingOptions {
  /** Input of all models, as floats; those that take the same picture in bytes are given bytes. */
  readonly input: { readonly name: string; readonly dims: readonly number[] };
  /** Runs of each (default 60); fewer where they take longer than `limitMs`. */
  readonly rounds?: number;
  /** Milliseconds after which no further round starts (default 20,000). */
  readonly limitMs?: number;
  /** Threads of a model (default 1: ratios of more are noise on a busy device). */
  readonly threads?: number;
  readonly signal?: AbortSignal;
}

/** Beside what the rounds may take: loading, warming up, a round that has begun. */
const SPARE_MS = 120_000;
const GRACE_MS = 500;
const SCRIPT = fileURLToPath(new URL('./timing-child.js', import.meta.url));

/**
 * Times of one run of each model, milliseconds: all models once in every round, so that what happens to the device meanwhile
 * happens to all of them.
 *
 * @param models ONNX files that take the same input
 * @throws BitlaneError `BAD_MODEL` when one cannot be run, `TIMEOUT` when it does not come to an end, the reason of `signal`
 */
export const timeModels = async (models: readonly string[], options: TimingOptions): Promise<number[][]> => {
  const { input, rounds = 60, limitMs = 20_000, threads = 1, signal } = options;
  signal?.throwIfAborted();
  const child = spawnOwned(process.execPath, [SCRIPT], { stdio: ['ignore', 'ignore', 'ignore', 'ipc'] });
  const settled = new AbortController();
  const stop = AbortSignal.any([
    settled.signal,
    AbortSignal.timeout(limitMs + SPARE_MS),
    ...(signal === undefined ? [] : [signal]),
  ]);
  try {
    const request: TimingRequest = {
      models: [...models],
      input: { name: input.name, dims: [...input.dims] },
      rounds,
      limitMs,
      threads,
    };
    const ended = once(child, 'exit', { signal: settled.signal }).then(() => {
      throw new BitlaneError('BAD_MODEL', 'the process that times models ended: a model breaks it');
    });
    ended.catch(() => undefined);
    const answer = once(child, 'message', { signal: stop });
    answer.catch(() => undefined);
    child.send(request);
    const [raw] = (await Promise.race([answer, ended])) as unknown[];
    const reply = timingReplySchema.parse(raw);
    if (reply.type === 'failed') throw new BitlaneError('BAD_MODEL', reply.message);
    return reply.times;
  } catch (error) {
    signal?.throwIfAborted();
    if (!stop.aborted) throw error;
    throw new BitlaneError('TIMEOUT', `timing took longer than ${(limitMs + SPARE_MS) / 1000} s`, {
      cause: error,
    });
  } finally {
    settled.abort();
    await stopChild(child, GRACE_MS);
  }
};

/** {@link timeModels} of models that lie in memory. */
export const timeBytes = async (
  models: readonly Uint8Array[],
  options: TimingOptions,
): Promise<number[][]> => {
  const folder = mkdtempSync(join(tmpdir(), 'bitlane-timing-'));
  try {
    const paths = models.map((bytes, index) => {
      const path = join(folder, `${index}.onnx`);
      writeFileSync(path, bytes);
      return path;
    });
    return await timeModels(paths, options);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
};

/** Median of the ratios second / first of the rounds, with its 95 % interval. */
export const latencyRatio = (first: readonly number[], second: readonly number[]): Interval =>
  medianInterval(first.map((time, round) => (second[round] ?? NaN) / time));
