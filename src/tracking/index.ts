// Tracks, lines, zones, counts. Pure: time comes in with the frames, nothing here reads a clock.
export { CountAggregator } from './counts.js';
export { flips } from './history.js';
export { CLOSE_GRACE_MS, type Countable, type CountInterval } from './series.js';
export { type CountRow, type CountSnapshot, countSnapshotSchema } from './snapshot.js';
export { SETTLE_MS } from './track.js';
export { Tracker, type TrackerConfig } from './tracker.js';
export type {
  ClassFlip,
  ClassSample,
  ClassShare,
  ClassVote,
  Crossing,
  FinishedTrack,
  FrameInfo,
  PathPoint,
  TrackerInput,
  TrackerResult,
  TrackerStats,
  TrackView,
  ZoneOccupancy,
  ZoneStay,
} from './types.js';
