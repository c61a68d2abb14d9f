// Which detection belongs to which track: score stages after ByteTrack (Zhang et al. 2022).
import type { TrackingConfig } from '../config/index.js';
import { assign, type Candidates } from './assignment.js';
import { overlap } from './geometry.js';
import { DISTANCE_GATE } from './kalman.js';
import type { Observation } from './observations.js';
import type { Track } from './track.js';

export interface Association {
  readonly matches: readonly (readonly [Track, Observation])[];
  readonly lostTracks: readonly Track[];
  /** Best score first. */
  readonly newObservations: readonly Observation[];
}

/** What a pair is worth, 0 where it is not allowed. */
type Gain = (track: Track, observation: Observation) => number;

/**
 * Tracks are matched whatever their class, since types are confused; where two pairs overlap about equally, the one whose class
 * has been seen on the track is preferred by up to this share.
 */
const CLASS_PREFERENCE = 0.1;

const byOverlap =
  (least: number): Gain =>
  (track, observation) => {
    const iou = overlap(track.box, observation.box);
    if (iou < least || iou === 0) return 0;
    return iou * (1 - CLASS_PREFERENCE * (1 - track.share(observation.className)));
  };

/** For cameras so slow that a vehicle leaves its own box between two frames: what the filter thinks possible, nearest first. */
const byDistance: Gain = (track, observation) => 1 - track.distance(observation.box) / DISTANCE_GATE;

/**
 * Stages, each an optimal assignment over what the ones before left: confirmed tracks before tentative ones, and for each high
 * scores by overlap, then low scores by overlap, then high scores by distance. Only tracks seen in the previous frame may take a
 * low score or be matched by distance. The tentative tracks' low-score stage and the distance stages are not in the paper.
 *
 * @param tracks predicted to this frame
 * @param observations best score first, none below `lowScore`
 */
export const associate = (
  tracks: readonly Track[],
  observations: readonly Observation[],
  config: TrackingConfig,
): Association => {
  const { highScore, matchIou, matchIouLow } = config;
  const matches: [Track, Observation][] = [];
  let high = observations.filter(({ score }) => score >= highScore);
  let low = observations.filter(({ score }) => score < highScore);

  /** Matches what it can; returns the tracks and observations left over. */
  const stage = (
    candidates: readonly Track[],
    offered: Observation[],
    gain: Gain,
  ): [Track[], Observation[]] => {
    if (candidates.length === 0 || offered.length === 0) return [[...candidates], offered];
    const rows = candidates.map((track): Candidates => {
      const columns: number[] = [];
      const gains: number[] = [];
      for (let column = 0; column < offered.length; column++) {
        const observation = offered[column];
        const worth = observation === undefined ? 0 : gain(track, observation);
        if (!(worth > 0)) continue;
        columns.push(column);
        gains.push(worth);
      }
      return { columns, gains };
    });
    const columnOf = assign(rows, offered.length);
    const taken = new Set<Observation>();
    const left: Track[] = [];
    for (const [row, track] of candidates.entries()) {
      const observation = offered[columnOf[row] ?? -1];
      if (observation === undefined) left.push(track);
      else {
        matches.push([track, observation]);
        taken.add(observation);
      }
    }
    return [left, offered.filter((observation) => !taken.has(observation))];
  };

  const lostTracks: Track[] = [];
  for (const confirmed of [true, false]) {
    let left = tracks.filter((track) => track.confirmed === confirmed);
    [left, high] = stage(left, high, byOverlap(matchIou));
    lostTracks.push(...left.filter(({ missed }) => missed > 0));
    left = left.filter(({ missed }) => missed === 0);
    [left, low] = stage(left, low, byOverlap(matchIouLow));
    [left, high] = stage(left, high, byDistance);
    lostTracks.push(...left);
  }
  return { matches, lostTracks, newObservations: high };
};
