// Times models against each other: in turns, one at a time, so that each sees the same seconds of the machine.
import {
  openSession,
  type Session,
  type SessionOptions,
  type Tensors,
  withSession,
} from '../runtime/index.js';
import { median } from '../system/index.js';
import { medianError } from './statistics.js';

export interface StopwatchOptions {
  readonly threads: number;
  readonly session: SessionOptions;
}

export interface TurnsOptions {
  /** Fewest and most rounds (default 11 and 31). */
  readonly least?: number;
  readonly most?: number;
  /** Half width of the 95 % interval of each median ratio to the first at which no more rounds are made (default 0.006). */
  readonly tolerance?: number;
  readonly isOver?: () => boolean;
}

/** Untimed runs of a session just opened. */
const WARM_UP = 3;
/** Runs of a session that is opened for a round only. */
const BLOCK = 5;

/** A model that is timed. */
export interface Contender {
  /** Milliseconds of one run; a session with several threads is there for these runs only. */
  readonly round: () => Promise<number>;
  readonly release: () => Promise<void>;
}

const timed = async (session: Session, feed: Tensors): Promise<number> => {
  const started = performance.now();
  await session.run(feed);
  return performance.now() - started;
};

/** Makes contenders. With several threads no two sessions are open at once: waiting threads of one would slow the other. */
export class Stopwatch {
  readonly #feed: Tensors;
  readonly #options: SessionOptions;

  constructor(feed: Tensors, { threads, session }: StopwatchOptions) {
    this.#feed = feed;
    this.#options = { ...session, threads };
  }

  async contender(bytes: Uint8Array): Promise<Contender> {
    const feed = this.#feed;
    if ((this.#options.threads ?? 1) > 1) {
      const round = (): Promise<number> =>
        withSession(bytes, this.#options, async (session) => {
          for (let i = 0; i < WARM_UP; i++) await session.run(feed);
          const times: number[] = [];
          for (let i = 0; i < BLOCK; i++) times.push(await timed(session, feed));
          return median(times);
        });
      return { round, release: () => Promise.resolve() };
    }
    const session = await openSession(bytes, this.#options);
    try {
      for (let i = 0; i < WARM_UP; i++) await session.run(feed);
    } catch (error) {
      await session.release();
      throw error;
    }
    return { round: () => timed(session, feed), release: () => session.release() };
  }

  /** Opens models, hands them to `work`, and releases them however that ends. */
  async with<T>(
    models: readonly Uint8Array[],
    work: (contenders: readonly Contender[]) => Promise<T>,
  ): Promise<T> {
    const contenders: Contender[] = [];
    try {
      for (const bytes of models) contenders.push(await this.contender(bytes));
      return await work(contenders);
    } finally {
      for (const contender of contenders) await contender.release();
    }
  }
}

/** Times over those of the same rounds of another. */
export const pairedRatios = (times: readonly number[], base: readonly number[]): number[] =>
  times.map((time, i) => time / (base[i] ?? NaN));

/** Runs contenders in turns until their medians are stable. Returns milliseconds by contender and round. */
export const inTurns = async (
  contenders: readonly Contender[],
  options: TurnsOptions = {},
): Promise<number[][]> => {
  const { least = 11, most = 31, tolerance = 0.006, isOver = () => false } = options;
  const samples = contenders.map((): number[] => []);
  const isStable = (): boolean =>
    samples.every((times) => {
      const ratios = pairedRatios(times, samples[0] ?? []);
      return medianError(ratios) <= tolerance * median(ratios);
    });
  for (let round = 0; round < most; round++) {
    if (round >= least && (isOver() || isStable())) break;
    for (const [i, contender] of contenders.entries()) samples[i]?.push(await contender.round());
  }
  return samples;
};
