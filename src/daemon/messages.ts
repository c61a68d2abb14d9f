// What was seen, as the messages say it. Pure.
import type { CountInterval, FinishedTrack, TrackView } from '../tracking/index.js';
import type { FrameBody, OutboxBody } from '../telemetry/index.js';
import type { FrameResult } from '../detector/index.js';
import type { Box } from '../vision/index.js';

const iso = (ms: number): string => new Date(ms).toISOString();
/** Six digits are a thousandth of a pixel. */
const round = (value: number): number => Math.round(value * 1e6) / 1e6;
const clamp = (value: number): number => Math.min(Math.max(round(value), 0), 1);

const shares = (
  box: Box,
  { width, height }: { width: number; height: number },
): [number, number, number, number] => [
  clamp(box.x1 / width),
  clamp(box.y1 / height),
  clamp(box.x2 / width),
  clamp(box.y2 / height),
];

/** Direction under which entries of zones are counted. */
export const ENTERED = 'entered';

/**
 * `counts/<interval>` of one closed interval.
 * @param lines the interval as the counting lines saw it
 * @param zones the same interval for the zones, where there is one
 */
export const countsMessage = (
  lines: CountInterval,
  zones: CountInterval | undefined,
): OutboxBody<`counts/${number}`> => ({
  interval_s: lines.seconds,
  from: iso(lines.startMs),
  to: iso(lines.endMs),
  // A second is lost between two looks at the clock; more is a gap.
  complete: lines.observedMs >= lines.seconds * 1000 - Math.min(2_000, lines.seconds * 100),
  observed_s: Math.round(lines.observedMs) / 1000,
  lines: lines.counts.map(({ line, direction, className, count }) => ({
    line,
    direction,
    class: className,
    count,
  })),
  zones: (zones?.counts ?? []).map(({ line, className, count }) => ({ zone: line, class: className, count })),
});

/** `event/track`. */
export const trackMessage = (
  track: FinishedTrack,
  options: { readonly path: boolean; readonly model: string | undefined },
): OutboxBody<'event/track'> => ({
  track: track.id,
  class: track.className,
  confidence: clamp(track.share),
  votes: Object.fromEntries(track.shares.map(({ className, share }) => [className, round(share)])),
  first_seen: iso(track.firstSeenMs),
  last_seen: iso(track.lastSeenMs),
  frames: track.framesSeen,
  crossings: track.crossings.map(({ line, direction, wallMs }) => ({ line, direction, at: iso(wallMs) })),
  zones: track.zones.map(({ zone }) => zone),
  ...(options.path ? { path: track.path.map(({ x, y }): [number, number] => [round(x), round(y)]) } : {}),
  ...(options.model === undefined ? {} : { model: options.model }),
});

/** `telemetry`: the detections of one frame with the tracks they belong to. */
export const frameMessage = (
  result: FrameResult,
  classes: readonly string[],
  tracks: readonly TrackView[],
): FrameBody => {
  const trackOf = new Map(
    tracks.flatMap(({ id, detection }) => (detection === null ? [] : [[detection, id] as const])),
  );
  return {
    frame: result.frame.seq,
    taken_at: iso(result.frame.wallMs),
    width: result.frame.width,
    height: result.frame.height,
    latency_ms: Math.round(result.totalMs * 10) / 10,
    model: result.artifactId,
    detections: result.detections.map((detection, index) => {
      const track = trackOf.get(index);
      return {
        class: classes[detection.classId] ?? String(detection.classId),
        score: clamp(detection.score),
        box: shares(detection, result.frame),
        ...(track === undefined ? {} : { track }),
      };
    }),
  };
};
