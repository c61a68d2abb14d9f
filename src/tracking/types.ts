// What goes into tracking and what comes out: frames, tracks, crossings, stays, votes.
import type { Box, Detection, Frame } from '../vision/index.js';

/** What tracking needs to know of a frame. `receivedAtMs` is monotonic and drives all dynamics; `wallMs` is UTC. */
export type FrameInfo = Pick<Frame, 'seq' | 'receivedAtMs' | 'wallMs' | 'width' | 'height'>;

/** One frame's detections, with the class names of the artifact that made them. */
export interface TrackerInput {
  readonly frame: FrameInfo;
  readonly detections: readonly Detection[];
  /** Names in the artifact's order: `classes[detection.classId]`. May differ from frame to frame (hot swap). */
  readonly classes: readonly string[];
}

/** A class name and a share (0..1) or a score (0..1). */
export interface ClassShare {
  readonly className: string;
  readonly share: number;
}

/** The class of a track: the winner, its share, its lead over the second, and all shares (falling, they sum to 1). */
export interface ClassVote extends ClassShare {
  /** Share of the winner less that of the second (0..1). */
  readonly margin: number;
  readonly shares: readonly ClassShare[];
}

/** What the detector said about a track in one frame. */
export interface ClassSample {
  readonly seq: number;
  readonly wallMs: number;
  readonly className: string;
  readonly score: number;
  /** As detected, pixels. */
  readonly box: Box;
  /** The best other class that the detector reported for the same object in this frame. */
  readonly rival?: { readonly className: string; readonly score: number };
}

/** A change of class between two frames of a track that follow each other. */
export interface ClassFlip {
  /** The frame in which the new class appeared. */
  readonly seq: number;
  readonly wallMs: number;
  readonly from: string;
  readonly to: string;
  readonly fromScore: number;
  readonly toScore: number;
}

/** A counted passage over a line. Its class is settled: it does not change any more. */
export interface Crossing {
  readonly trackId: number;
  readonly line: string;
  /** The direction's name from the line's configuration. */
  readonly direction: string;
  /** When the reference point was on the line (UTC, interpolated between frames). */
  readonly wallMs: number;
  readonly className: string;
  /** Share and margin of that class in the vote at the time it was settled. */
  readonly share: number;
  readonly margin: number;
}

/** A track's time in a zone. */
export interface ZoneStay {
  readonly zone: string;
  /** First seen inside, last seen inside (UTC). */
  readonly enteredMs: number;
  readonly leftMs: number;
  /** Time inside, all visits together (from the monotonic clock). */
  readonly dwellMs: number;
  readonly visits: number;
}

/** Where the reference point was: shares of width and height. */
export interface PathPoint {
  readonly x: number;
  readonly y: number;
  readonly wallMs: number;
}

/** A confirmed track as it is now. */
export interface TrackView {
  readonly id: number;
  /** Filtered where the track was seen in this frame, predicted where it was not; pixels, may reach beyond the frame. */
  readonly box: Box;
  readonly className: string;
  readonly share: number;
  readonly margin: number;
  /** Seen in this frame. */
  readonly visible: boolean;
  /** Index into the frame's detections, `null` where not visible. */
  readonly detection: number | null;
  /** Score of the last detection. */
  readonly score: number;
  readonly framesSeen: number;
  /** Names of the zones it is in. */
  readonly zones: readonly string[];
}

/** A confirmed track that is over. */
export interface FinishedTrack extends ClassVote {
  readonly id: number;
  /** UTC. */
  readonly firstSeenMs: number;
  readonly lastSeenMs: number;
  /** From the monotonic clock, so that it is right when the wall clock was set in between. */
  readonly durationMs: number;
  readonly framesSeen: number;
  /** Processed frames between the first and the last sight in which it was not found. */
  readonly framesLost: number;
  /** With the class each was counted as; the latest 64. */
  readonly crossings: readonly Crossing[];
  readonly zones: readonly ZoneStay[];
  /** At most 64 points, evenly thinned; first and last are always there. */
  readonly path: readonly PathPoint[];
  /** The latest `historyLength` frames. */
  readonly history: readonly ClassSample[];
}

export interface TrackerResult {
  /** Confirmed tracks, the ones that are lost for a moment included (`visible: false`). */
  readonly tracks: readonly TrackView[];
  readonly finished: readonly FinishedTrack[];
  /** Crossings whose class was settled now: count each of these once. */
  readonly crossings: readonly Crossing[];
}

export interface ZoneOccupancy {
  readonly zone: string;
  readonly count: number;
  readonly classes: readonly { readonly className: string; readonly count: number }[];
}

/** Totals since the start. */
export interface TrackerStats {
  readonly frames: number;
  /** Frames that came out of order or with impossible meta data. */
  readonly framesDropped: number;
  /** Detections that were no boxes: NaN, empty, unknown class, score outside 0..1. */
  readonly detectionsRejected: number;
  /** Detections merged into a better one of the same object. */
  readonly detectionsMerged: number;
  readonly tracksConfirmed: number;
  readonly tracksFinished: number;
  /** Tracks not started because `maxTracks` were running. */
  readonly tracksRefused: number;
}
