// Who computes while a canary runs: serving generation and candidate take turns, so that neither slows the other down.
import type { Frame } from '../vision/index.js';
import { workMs } from './canary.js';
import type { FrameResult, Generation } from './generation.js';

/** What turns need to know of a generation. */
type Player = Pick<Generation, 'inFlight' | 'offer'>;

/** For how long the serving generation waits for the candidate's answer, in frames of its own: a candidate that hangs holds up nothing. */
const PATIENCE = 1.5;

/**
 * Decides whose turn it is. Two models at once share caches, memory and often a core: each then takes two to three times its
 * time, which is a gap in the results and says nothing about the candidate. In turns both are measured undisturbed, and the
 * serving generation misses one frame at most.
 */
export class CanaryTurns {
  readonly #serving: Pick<Player, 'inFlight'>;
  readonly #candidate: Player;
  /** Called when the serving generation has waited long enough. */
  readonly #goOn: () => void;
  /** What the serving generation was given last, and the candidate not yet. */
  #shown: Frame | undefined;
  #impatient = false;
  #timer: NodeJS.Timeout | undefined;
  #servingMs = 0;

  constructor(serving: Pick<Player, 'inFlight'>, candidate: Player, goOn: () => void) {
    this.#serving = serving;
    this.#candidate = candidate;
    this.#goOn = goOn;
  }

  /** Gives the candidate its turn where it is due. Returns whether the serving generation may have a frame now. */
  next(): boolean {
    if (this.#serving.inFlight > 0) return false;
    if (this.#candidate.inFlight > 0) return this.#impatient;
    clearTimeout(this.#timer);
    const shown = this.#shown;
    this.#shown = undefined;
    if (shown === undefined || !this.#candidate.offer(shown)) return true;
    this.#impatient = false;
    this.#timer = setTimeout(() => {
      this.#impatient = true;
      this.#goOn();
    }, PATIENCE * this.#servingMs);
    return false;
  }

  /** The serving generation was given this frame. */
  show(frame: Frame): void {
    this.#shown = frame;
  }

  /** The serving generation has answered. */
  answered(result: FrameResult): void {
    this.#servingMs = workMs(result);
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#shown = undefined;
  }
}
