// Finds what the model is unsure about while frames go by. Pure: no clock, no files; pictures are taken by whoever asks it.
import type { ExamplesConfig } from '../config/index.js';
import { type Box, type Detection, iou } from '../vision/index.js';
import { observeTrack } from './observed.js';
import type { ClassFrames, ExampleTrack, Observation, Presumption, Reason, SeenObject } from './types.js';

/** A track in one frame, as tracking tells it. */
export interface TrackSight {
  readonly id: number;
  /** Index into the frame's detections; `null` where it was not seen. */
  readonly detection: number | null;
  /** The vote so far, and the share of it that the class has. */
  readonly className: string;
  readonly share: number;
  readonly framesSeen: number;
}

/** A track that is over. */
export interface EndedTrack {
  readonly id: number;
  readonly className: string;
  readonly share: number;
  readonly framesSeen: number;
  readonly framesLost: number;
  readonly lastSeenMs: number;
}

/** One detected frame. */
export interface SeenFrame {
  readonly wallMs: number;
  readonly width: number;
  readonly height: number;
  /** Id of the artifact that looked. */
  readonly model: string;
  /** Names of the class indices. */
  readonly classes: readonly string[];
  readonly detections: readonly Detection[];
  readonly tracks: readonly TrackSight[];
}

/** Something to keep a picture of. Objects are in pixels of the frame. */
export interface Candidate {
  readonly takenMs: number;
  readonly reason: Reason;
  /** 0..1: which of two is kept. */
  readonly hardness: number;
  readonly rivalName: string | null;
  readonly model: string;
  readonly object: SeenObject;
  readonly others: readonly SeenObject[];
}

/** A picture that should be taken now. */
export interface Wish {
  readonly candidate: Candidate;
  /** The earlier one of the same track that is not wanted any more. */
  readonly instead: Candidate | null;
}

/** What comes of a track that is over. */
export interface Harvest {
  readonly track: ExampleTrack;
  /** Only of a long, stable track. */
  readonly presumed: Presumption | null;
  /** Hardest first. */
  readonly candidates: readonly Candidate[];
  /** Candidates of this track that are not wanted any more. */
  readonly left: readonly Candidate[];
  readonly observations: readonly Observation[];
}

export type MinerRules = Pick<
  ExamplesConfig,
  'reasons' | 'margin' | 'uncertainScore' | 'stableFrames' | 'stableShare'
>;

/** Of one track for one reason. */
const MAX_PICTURES = 3;
/** Another picture of the same must be this much harder and this much later. */
const HARDER = 0.15;
const LATER_MS = 500;
/** Of one track. */
const MAX_CANDIDATES = 2;
/** A change between classes that both score less than this is noise. */
const FLIP_SCORE = 0.3;
/** Boxes that overlap at least this much are one object: suppression in the detector works class by class. */
const SAME_OBJECT = 0.7;
/** Nobody can tell what a smaller thing is. */
const MIN_SIDE = 16;
/** A box nearer to the edge of the frame than this share of it may be cut. */
const CUT = 0.004;
const MAX_CHANGES = 32;

interface Kept {
  readonly candidate: Candidate;
  readonly taken: number;
}

interface Memory {
  readonly votes: Map<string, number>;
  readonly history: { wallMs: number; className: string; score: number }[];
  readonly kept: Map<Reason, Kept>;
  last: SeenObject | undefined;
  frames: number;
  model: string;
}

/** The two classes in question, sorted by name. */
export const pairOf = (a: string, b: string): string => [a, b].sort().join(':');

const nameOf = (classes: readonly string[], id: number): string => classes[id] ?? String(id);

const toSeen = (detection: Detection, classes: readonly string[]): SeenObject => {
  const { x1, y1, x2, y2, classId, score, rival } = detection;
  return {
    x1,
    y1,
    x2,
    y2,
    className: nameOf(classes, classId),
    score,
    ...(rival === undefined
      ? {}
      : { rival: { className: nameOf(classes, rival.classId), score: rival.score } }),
  };
};

/**
 * A detection as an object, and the other objects of its frame. The next best class is the best of what the model says of the same place
 * and of what it says of the same object with another class in a detection of its own.
 */
export const inView = (
  { detections, classes }: Pick<SeenFrame, 'detections' | 'classes'>,
  detection: Detection,
): readonly [object: SeenObject, others: readonly SeenObject[]] => {
  const others: SeenObject[] = [];
  let object = toSeen(detection, classes);
  for (const other of detections) {
    if (other === detection) continue;
    const seen = toSeen(other, classes);
    if (iou(detection, other) < SAME_OBJECT) others.push(seen);
    else if (seen.className !== object.className && seen.score > (object.rival?.score ?? 0)) {
      object = { ...object, rival: { className: seen.className, score: seen.score } };
    }
  }
  return [object, others];
};

const isClear = (box: Box, { width, height }: SeenFrame): boolean =>
  Math.min(box.x2 - box.x1, box.y2 - box.y1) >= MIN_SIDE &&
  box.x1 > CUT * width &&
  box.y1 > CUT * height &&
  box.x2 < (1 - CUT) * width &&
  box.y2 < (1 - CUT) * height;

export class Miner {
  readonly #tracks = new Map<number, Memory>();
  readonly #keyOf: (track: number) => string;
  #rules: MinerRules;

  /** @param keyOf a name of a track that is unique over restarts */
  constructor(rules: MinerRules, keyOf: (track: number) => string) {
    this.#rules = rules;
    this.#keyOf = keyOf;
  }

  configure(rules: MinerRules): void {
    this.#rules = rules;
  }

  /** Takes in one frame; returns what a picture should be taken of, now. */
  see(frame: SeenFrame): Wish[] {
    const wanted: Wish[] = [];
    for (const sight of frame.tracks) {
      const detection = sight.detection === null ? undefined : frame.detections[sight.detection];
      if (detection === undefined) continue;
      const [object, others] = inView(frame, detection);
      const memory = this.#remember(sight.id, object, frame);
      if (isClear(object, frame)) wanted.push(...this.#look(sight, object, others, memory, frame));
      memory.last = object;
    }
    return wanted;
  }

  /** A track is over: what it says about the model, and which of its pictures are worth keeping. */
  end(ended: EndedTrack): Harvest | undefined {
    const memory = this.#tracks.get(ended.id);
    this.#tracks.delete(ended.id);
    if (memory === undefined) return undefined;
    const key = this.#keyOf(ended.id);
    const votes: ClassFrames[] = [...memory.votes]
      .map(([className, frames]) => ({ className, frames }))
      .sort((a, b) => b.frames - a.frames || (a.className < b.className ? -1 : 1));
    const track = { key, frames: memory.frames, votes, history: memory.history };
    const presumed = this.#presume(ended);
    const isWrong = ({ object }: Candidate): number =>
      Number(presumed !== null && object.className !== presumed.className);
    const candidates = [...memory.kept.values()]
      .map(({ candidate }) => candidate)
      .sort((a, b) => isWrong(b) - isWrong(a) || b.hardness - a.hardness);
    return {
      track,
      presumed,
      candidates: candidates.slice(0, MAX_CANDIDATES),
      left: candidates.slice(MAX_CANDIDATES),
      observations:
        presumed === null
          ? []
          : observeTrack(track, {
              presumed: presumed.className,
              source: presumed.source,
              weight: presumed.confidence,
              seenMs: ended.lastSeenMs,
              model: memory.model,
            }),
    };
  }

  #remember(id: number, object: SeenObject, { wallMs, model }: SeenFrame): Memory {
    let memory = this.#tracks.get(id);
    if (memory === undefined) {
      memory = { votes: new Map(), history: [], kept: new Map(), last: undefined, frames: 0, model };
      this.#tracks.set(id, memory);
    }
    const { className, score } = object;
    memory.frames += 1;
    memory.model = model;
    memory.votes.set(className, (memory.votes.get(className) ?? 0) + 1);
    if (memory.last?.className !== className) {
      memory.history.push({ wallMs, className, score });
      if (memory.history.length > MAX_CHANGES) memory.history.shift();
    }
    return memory;
  }

  #look(
    sight: TrackSight,
    object: SeenObject,
    others: readonly SeenObject[],
    memory: Memory,
    frame: SeenFrame,
  ): Wish[] {
    const { reasons, margin, uncertainScore, stableFrames, stableShare } = this.#rules;
    const { className, score, rival } = object;
    const before = memory.last;
    const found: { reason: Reason; hardness: number; rivalName: string | null }[] = [];
    if (rival !== undefined && rival.score > 0 && score - rival.score < margin) {
      const hardness = 1 - (score - rival.score) / margin;
      found.push({ reason: 'margin', hardness, rivalName: rival.className });
    }
    if (before !== undefined && before.className !== className && className !== sight.className) {
      const hardness = Math.min(before.score, score);
      if (hardness >= FLIP_SCORE) found.push({ reason: 'flip', hardness, rivalName: before.className });
    }
    const isStable = sight.framesSeen >= stableFrames && sight.share >= stableShare;
    if (isStable && score < uncertainScore) {
      const rivalName = className === sight.className ? (rival?.className ?? null) : sight.className;
      found.push({ reason: 'uncertain', hardness: 1 - score / uncertainScore, rivalName });
    }
    return found
      .filter(({ reason }) => reasons.includes(reason))
      .flatMap(({ reason, hardness, rivalName }) => {
        const kept = memory.kept.get(reason);
        if (!isWorth(kept, hardness, frame.wallMs)) return [];
        const { wallMs: takenMs, model } = frame;
        const candidate = { takenMs, reason, hardness, rivalName, model, object, others };
        memory.kept.set(reason, { candidate, taken: (kept?.taken ?? 0) + 1 });
        return [{ candidate, instead: kept?.candidate ?? null }];
      });
  }

  #presume({ className, share, framesSeen, framesLost }: EndedTrack): Presumption | null {
    const { stableFrames, stableShare } = this.#rules;
    const isStable = framesSeen >= stableFrames && share >= stableShare && framesLost <= framesSeen;
    return isStable ? { className, source: 'track', confidence: share } : null;
  }
}

const isWorth = (kept: Kept | undefined, hardness: number, nowMs: number): boolean =>
  kept === undefined ||
  (kept.taken < MAX_PICTURES &&
    hardness >= kept.candidate.hardness + HARDER &&
    nowMs - kept.candidate.takenMs >= LATER_MS);
