// What the room deals in: hard examples, what is presumed or known of them, observations of confusion.
import type { REASONS, SOURCES } from '../config/index.js';
import type { Box } from '../vision/index.js';

export { REASONS, SOURCES } from '../config/index.js';
export type Reason = (typeof REASONS)[number];
export type Source = (typeof SOURCES)[number];

/** Class names, never indices: models change. `null` is the background: no vehicle at all. */
export type ClassName = string;

export interface ClassScore {
  readonly className: ClassName;
  /** 0..1. */
  readonly score: number;
}

/** What the model said of one object; the box is in pixels of the stored picture and may reach beyond it. */
export interface SeenObject extends Box, ClassScore {
  /** The next best class at the same place, where the model tells. */
  readonly rival?: ClassScore;
}

/** How the stored picture lies in the camera's frame. */
export interface StoredPicture {
  /** Pixels of the JPEG. */
  readonly width: number;
  readonly height: number;
  readonly bytes: number;
  /** Pixels of the frame it was cut from, and where its top left corner was; one pixel of the picture is one of the frame. */
  readonly frame: { readonly width: number; readonly height: number };
  readonly left: number;
  readonly top: number;
}

/** What the model said along a track: of how many of its frames it took the vehicle for this class. */
export interface ClassFrames {
  readonly className: ClassName;
  readonly frames: number;
}

export interface ExampleTrack {
  /** Unique over restarts. */
  readonly key: string;
  readonly frames: number;
  /** Falling; by class, over the whole track. */
  readonly votes: readonly ClassFrames[];
  /** The latest changes of class: from which frame on the model said what. */
  readonly history: readonly {
    readonly wallMs: number;
    readonly className: ClassName;
    readonly score: number;
  }[];
}

export interface Presumption {
  /** `null`: no vehicle. */
  readonly className: ClassName | null;
  readonly source: Exclude<Source, 'operator'>;
  /** How sure the source is, 0..1: the share of the vote of a track, the score of the teacher. */
  readonly confidence: number;
}

/** What an operator said: a class, or `null` for "this is no vehicle". */
export interface OperatorLabel {
  readonly className: ClassName | null;
  /** Where the operator drew it, pixels of the picture; the model's box holds where it is absent. */
  readonly box?: Box;
  readonly wallMs: number;
}

/** A stored detection that the model was unsure or wrong about. */
export interface Example {
  readonly id: string;
  /** UTC, milliseconds since the epoch. */
  readonly takenMs: number;
  readonly reason: Reason;
  /** The two classes in question, sorted by name and joined with ":": what retention balances by. */
  readonly pair: string;
  /** Id of the artifact that said it. */
  readonly model: string;
  /** What it is about. */
  readonly object: SeenObject;
  /** Other objects that the model saw in the same picture. */
  readonly others: readonly SeenObject[];
  readonly picture: StoredPicture;
  readonly track: ExampleTrack | null;
  readonly presumed: Presumption | null;
  readonly label: OperatorLabel | null;
}

/** One look at whether the model was right: what it predicted, what it presumably was, and who says so. */
export interface Observation {
  /** UTC, milliseconds since the epoch. */
  readonly seenMs: number;
  readonly source: Source;
  /** `null`: it saw nothing there. */
  readonly predicted: ClassName | null;
  /** `null`: there was no vehicle. */
  readonly presumed: ClassName | null;
  /** 0..1; what one vehicle says adds up to at most 1. */
  readonly weight: number;
  /** Id of the artifact that predicted. */
  readonly model: string;
  /** What it is about, a track or an example: a later word about the same thing takes the place of an earlier one. */
  readonly about: string;
}
