// The tracker: frames' detections in; tracks, finished tracks and crossings out. Reads no clock.
import type { LineConfig, TrackingConfig, ZoneConfig } from '../config/index.js';
import { associate } from './association.js';
import { admit } from './observations.js';
import { layScene, type Scene } from './scene.js';
import { Track } from './track.js';
import type {
  Crossing,
  FinishedTrack,
  FrameInfo,
  TrackerInput,
  TrackerResult,
  TrackerStats,
  ZoneOccupancy,
} from './types.js';

export interface TrackerConfig {
  readonly tracking: TrackingConfig;
  readonly lines: readonly LineConfig[];
  readonly zones: readonly ZoneConfig[];
}

/** After a gap between frames longer than this (or `maxLostMs`, if that is more) a vehicle is not taken for the one before. */
const LONGEST_GAP_MS = 1_000;
/** Without any frame for this long (or `maxLostMs`) tracks finish: long enough for a slow detector's frame to arrive. */
const IDLE_MS = 5_000;
/** A tentative track that is missed in this many frames running is given up. */
const TENTATIVE_MISSES = 2;

const MAX_SIDE = 65_536;

const isSound = ({ receivedAtMs, wallMs, width, height }: FrameInfo): boolean =>
  [receivedAtMs, wallMs].every(Number.isFinite) &&
  [width, height].every((side) => side >= 1 && side <= MAX_SIDE);

/**
 * Tracks the vehicles of one camera. Deterministic: the same calls give the same results.
 *
 * Ids are 1, 2, 3, ... from the construction on; with the boot id they are unique for good.
 */
export class Tracker {
  #config: TrackerConfig;
  #scene: Scene = { lines: [], zones: [] };
  #tracks: Track[] = [];
  #frame: FrameInfo | undefined;
  #nextId = 1;
  #finished: FinishedTrack[] = [];
  #crossings: Crossing[] = [];
  #stats = {
    frames: 0,
    framesDropped: 0,
    detectionsRejected: 0,
    detectionsMerged: 0,
    tracksConfirmed: 0,
    tracksFinished: 0,
    tracksRefused: 0,
  };

  constructor(config: TrackerConfig) {
    this.#config = config;
  }

  /**
   * Takes in one processed frame. Frames may be skipped and the time between them may vary; a frame that is older than one before,
   * or whose size or times make no sense, is dropped and counted. A frame of another size finishes all tracks.
   */
  update({ frame, detections, classes }: TrackerInput): TrackerResult {
    const previous = this.#frame;
    if (!isSound(frame) || (previous !== undefined && frame.receivedAtMs < previous.receivedAtMs)) {
      this.#stats.framesDropped++;
      return this.#result();
    }
    this.#stats.frames++;
    this.#frame = frame;
    if (previous === undefined || previous.width !== frame.width || previous.height !== frame.height) {
      this.#end(() => true);
      this.#lay();
    }
    const { tracking } = this.#config;
    const now = frame.receivedAtMs;
    const admitted = admit(detections, classes, frame, Math.min(tracking.lowScore, tracking.highScore));
    this.#stats.detectionsRejected += admitted.rejected;
    this.#stats.detectionsMerged += admitted.merged;

    const longestGap = Math.max(tracking.maxLostMs, LONGEST_GAP_MS);
    this.#end((track) => now - track.lastSeenAtMs > longestGap);
    const seconds = previous === undefined ? 0 : (now - previous.receivedAtMs) / 1000;
    for (const track of this.#tracks) track.predict(seconds);

    const { matches, lostTracks, newObservations } = associate(this.#tracks, admitted.observations, tracking);
    for (const [track, observation] of matches) {
      track.observe(observation, frame, this.#scene, observation.score < tracking.highScore);
      this.#confirm(track);
    }
    for (const track of lostTracks) track.miss();
    this.#end(
      (track) =>
        track.missed > 0 &&
        (now - track.lastSeenAtMs >= tracking.maxLostMs ||
          (!track.confirmed && track.missed >= TENTATIVE_MISSES)),
    );
    for (const observation of newObservations) {
      if (this.#tracks.length >= tracking.maxTracks) {
        this.#stats.tracksRefused++;
        continue;
      }
      const track = new Track(this.#nextId++, observation.box, tracking.historyLength);
      track.observe(observation, frame, this.#scene, false);
      this.#confirm(track);
      this.#tracks.push(track);
    }
    this.#settle(now);
    return this.#result();
  }

  /**
   * Lets time pass without a frame (a camera that is away): settles crossings and, after a while, finishes tracks.
   * @param atMs the monotonic clock that stamps the frames
   */
  advance(atMs: number): TrackerResult {
    if (Number.isFinite(atMs)) {
      const idle = Math.max(this.#config.tracking.maxLostMs, IDLE_MS);
      this.#end((track) => atMs - track.lastSeenAtMs > idle);
      this.#settle(atMs);
    }
    return this.#result();
  }

  /** Finishes all tracks: before an orderly stop, or when another camera takes over. */
  finish(): TrackerResult {
    this.#end(() => true);
    return this.#result();
  }

  /** Takes over a new configuration; running tracks go on. A line or zone that lies elsewhere than before begins anew. */
  reconfigure(change: Partial<TrackerConfig>): void {
    this.#config = { ...this.#config, ...change };
    this.#lay();
    for (const track of this.#tracks) track.adapt(this.#config.tracking.historyLength, this.#scene);
  }

  /** How many confirmed tracks each zone holds now; a track that is lost for a moment is still in. */
  occupancy(): ZoneOccupancy[] {
    return this.#config.zones.map(({ name }) => {
      const classes = new Map<string, number>();
      let count = 0;
      for (const track of this.#tracks) {
        if (!track.confirmed || !track.zonesInside().includes(name)) continue;
        const className = track.className();
        classes.set(className, (classes.get(className) ?? 0) + 1);
        count++;
      }
      return {
        zone: name,
        count,
        classes: [...classes].map(([className, count]) => ({ className, count })),
      };
    });
  }

  get stats(): TrackerStats {
    return { ...this.#stats };
  }

  #lay(): void {
    if (this.#frame === undefined) return;
    const { width, height } = this.#frame;
    this.#scene = layScene(this.#config.lines, this.#config.zones, width, height);
  }

  #confirm(track: Track): void {
    if (track.confirmed || track.framesSeen < this.#config.tracking.minHits) return;
    track.confirmed = true;
    this.#stats.tracksConfirmed++;
  }

  #settle(atMs: number): void {
    for (const track of this.#tracks) this.#crossings.push(...track.settle(atMs));
  }

  #end(isOver: (track: Track) => boolean): void {
    const ended = this.#tracks.filter(isOver);
    if (ended.length === 0) return;
    this.#tracks = this.#tracks.filter((track) => !ended.includes(track));
    for (const track of ended) {
      if (!track.confirmed) continue;
      this.#crossings.push(...track.settle(Infinity));
      this.#finished.push(track.finished());
      this.#stats.tracksFinished++;
    }
  }

  /** Hands out what has gathered since the last call. */
  #result(): TrackerResult {
    const result = {
      tracks: this.#tracks.filter(({ confirmed }) => confirmed).map((track) => track.view()),
      finished: this.#finished,
      crossings: this.#crossings,
    };
    this.#finished = [];
    this.#crossings = [];
    return result;
  }
}
