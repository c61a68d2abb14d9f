// One vehicle over time: filter, vote, history, path, lines, zones, and the crossings that wait for their class.
import type { Box } from '../vision/index.js';
import { referencePoint, scaleOf } from './geometry.js';
import { Path, Ring } from './history.js';
import { BoxFilter } from './kalman.js';
import { LineWatch, type Passage } from './lines.js';
import type { Observation } from './observations.js';
import type { Scene } from './scene.js';
import type { ClassSample, Crossing, FinishedTrack, FrameInfo, TrackView } from './types.js';
import { ClassTally } from './vote.js';
import { ZoneWatch } from './zones.js';

/**
 * The class of a crossing is settled when the track finishes, or this long after the crossing. By then most vehicles have
 * been seen on both sides of the line, and a vehicle that stops beyond it does not hold up the interval's message.
 */
export const SETTLE_MS = 3_000;

const MAX_CROSSINGS = 64;

/** A low-score box is often half hidden: the filter trusts it this many times less. */
const LOW_SCORE_DOUBT = 2;

interface Waiting extends Passage {
  readonly wallMs: number;
}

const rounded = (value: number): number => Math.round(value * 1e4) / 1e4;

export class Track {
  readonly id: number;
  confirmed = false;
  framesSeen = 0;
  /** Processed frames since it was last seen. */
  missed = 0;
  /** Monotonic. */
  lastSeenAtMs = 0;
  /** Predicted or filtered, as of the latest frame. */
  box: Box;
  readonly #filter: BoxFilter;
  readonly #tally = new ClassTally();
  readonly #history: Ring<ClassSample>;
  readonly #path = new Path();
  readonly #lines = new LineWatch();
  readonly #zones = new ZoneWatch();
  #waiting: Waiting[] = [];
  #settled: Crossing[] = [];
  #firstSeenAtMs = 0;
  #firstSeenMs = 0;
  #lastSeenMs = 0;
  #framesLost = 0;
  #detection: number | null = null;
  #score = 0;

  /** @param box where it was first detected; `observe` must follow */
  constructor(id: number, box: Box, historyLength: number) {
    this.id = id;
    this.box = box;
    this.#filter = new BoxFilter(box);
    this.#history = new Ring(historyLength);
  }

  /** Moves on to a frame `seconds` later, not yet knowing whether it is seen there. */
  predict(seconds: number): void {
    this.#filter.predict(seconds);
    this.box = this.#filter.box;
  }

  /** Share of a class in the vote so far. */
  share(className: string): number {
    return this.#tally.share(className);
  }

  /** Squared Mahalanobis distance of a detected box from the prediction. */
  distance(box: Box): number {
    return this.#filter.distance(box);
  }

  /** Takes in what was seen of it in this frame. */
  observe(observation: Observation, frame: FrameInfo, scene: Scene, isLowScore: boolean): void {
    if (this.framesSeen === 0) {
      this.#firstSeenAtMs = frame.receivedAtMs;
      this.#firstSeenMs = frame.wallMs;
    } else {
      this.#filter.update(observation.box, isLowScore ? LOW_SCORE_DOUBT : 1);
      this.box = this.#filter.box;
    }
    this.framesSeen++;
    this.#framesLost += this.missed;
    this.missed = 0;
    this.lastSeenAtMs = frame.receivedAtMs;
    this.#lastSeenMs = frame.wallMs;
    this.#detection = observation.detection;
    this.#score = observation.score;
    this.#tally.add(observation);
    const { className, score, box, rivals } = observation;
    const rival = rivals[0];
    this.#history.push({
      seq: frame.seq,
      wallMs: frame.wallMs,
      className,
      score,
      box,
      ...(rival === undefined ? {} : { rival }),
    });
    this.#place(frame, scene);
  }

  /** Looks where it stands: crossings are remembered from the first sight on, confirmed or not. */
  #place(frame: FrameInfo, scene: Scene): void {
    const point = referencePoint(this.box);
    const scale = scaleOf(this.box);
    const { receivedAtMs: atMs, wallMs } = frame;
    for (const passage of this.#lines.observe(scene.lines, point, scale, atMs)) {
      // Counted back from now, so that a wall clock set between two frames does not smear the time.
      this.#waiting.push({ ...passage, wallMs: wallMs - (atMs - passage.atMs) });
    }
    this.#zones.observe(scene.zones, point, scale, atMs, wallMs);
    this.#path.add({ x: rounded(point.x / frame.width), y: rounded(point.y / frame.height), wallMs });
  }

  /** It was not found in this frame. */
  miss(): void {
    this.missed++;
    this.#detection = null;
  }

  /** The crossings whose class is settled at `atMs` (monotonic; `Infinity` when it finishes). */
  settle(atMs: number): Crossing[] {
    if (!this.confirmed || this.#waiting.length === 0) return [];
    const due = this.#waiting.filter((passage) => passage.atMs + SETTLE_MS <= atMs);
    if (due.length === 0) return [];
    this.#waiting = this.#waiting.filter((passage) => !due.includes(passage));
    const { className, share, margin } = this.#tally.result();
    const crossings = due.map(({ line, direction, wallMs }) => ({
      trackId: this.id,
      line,
      direction,
      wallMs,
      className,
      share,
      margin,
    }));
    this.#settled = [...this.#settled, ...crossings].slice(-MAX_CROSSINGS);
    return crossings;
  }

  /** Follows a change of the configuration. */
  adapt(historyLength: number, scene: Scene): void {
    this.#history.resize(historyLength);
    this.#lines.keepOnly(scene.lines);
    this.#zones.keepOnly(scene.zones);
  }

  zonesInside(): string[] {
    return this.#zones.inside();
  }

  className(): string {
    return this.#tally.result().className;
  }

  view(): TrackView {
    const { className, share, margin } = this.#tally.result();
    return {
      id: this.id,
      box: this.box,
      className,
      share,
      margin,
      visible: this.#detection !== null,
      detection: this.#detection,
      score: this.#score,
      framesSeen: this.framesSeen,
      zones: this.#zones.inside(),
    };
  }

  finished(): FinishedTrack {
    return {
      id: this.id,
      ...this.#tally.result(),
      firstSeenMs: this.#firstSeenMs,
      lastSeenMs: this.#lastSeenMs,
      durationMs: this.lastSeenAtMs - this.#firstSeenAtMs,
      framesSeen: this.framesSeen,
      framesLost: this.#framesLost,
      crossings: this.#settled,
      zones: this.#zones.stays(),
      path: this.#path.points(),
      history: this.#history.toArray(),
    };
  }
}
