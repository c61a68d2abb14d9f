// Hard examples and observed confusions as messages say them, and back. Pure.
import type { ConfusionsConfig } from '../config/index.js';
import type { ConfusionReport, Example, SeenObject } from '../examples/index.js';
import type { ExampleMessage, OutboxBody, StateBody } from '../telemetry/index.js';
import type { Box } from '../vision/index.js';

const iso = (ms: number): string => new Date(ms).toISOString();
const thousandth = (value: number): number => Math.round(value * 1000) / 1000;
const share = (value: number): number => Math.min(Math.max(thousandth(value), 0), 1);

type Corners = [number, number, number, number];
const corners = ({ x1, y1, x2, y2 }: Box): Corners => [x1, y1, x2, y2];
const boxOf = ([x1, y1, x2, y2]: readonly [number, number, number, number]): Box => ({ x1, y1, x2, y2 });

const seenMessage = (object: SeenObject): ExampleMessage['object'] => ({
  class: object.className,
  score: share(object.score),
  box: corners(object),
  ...(object.rival === undefined
    ? {}
    : { rival: { class: object.rival.className, score: share(object.rival.score) } }),
});

const seenFrom = ({ class: className, score, box, rival }: ExampleMessage['object']): SeenObject => ({
  ...boxOf(box),
  className,
  score,
  ...(rival === undefined ? {} : { rival: { className: rival.class, score: rival.score } }),
});

export const exampleMessage = (example: Example): ExampleMessage => {
  const { picture, track, presumed, label } = example;
  return {
    id: example.id,
    taken_at: iso(example.takenMs),
    reason: example.reason,
    pair: example.pair,
    model: example.model,
    object: seenMessage(example.object),
    others: example.others.map(seenMessage),
    picture: {
      width: picture.width,
      height: picture.height,
      bytes: picture.bytes,
      left: picture.left,
      top: picture.top,
      frame_width: picture.frame.width,
      frame_height: picture.frame.height,
    },
    track: track && {
      key: track.key,
      frames: track.frames,
      votes: track.votes.map(({ className, frames }) => ({ class: className, frames })),
      history: track.history.map(({ wallMs, className, score }) => ({
        at: iso(wallMs),
        class: className,
        score: share(score),
      })),
    },
    presumed: presumed && {
      class: presumed.className,
      source: presumed.source,
      confidence: share(presumed.confidence),
    },
    label: label && {
      class: label.className,
      ...(label.box === undefined ? {} : { box: corners(label.box) }),
      at: iso(label.wallMs),
    },
  };
};

/** The way back, for commands that ask a running daemon. */
export const exampleFrom = (message: ExampleMessage): Example => {
  const { picture, track, presumed, label } = message;
  return {
    id: message.id,
    takenMs: Date.parse(message.taken_at),
    reason: message.reason,
    pair: message.pair,
    model: message.model,
    object: seenFrom(message.object),
    others: message.others.map(seenFrom),
    picture: {
      width: picture.width,
      height: picture.height,
      bytes: picture.bytes,
      left: picture.left,
      top: picture.top,
      frame: { width: picture.frame_width, height: picture.frame_height },
    },
    track: track && {
      key: track.key,
      frames: track.frames,
      votes: track.votes.map((vote) => ({ className: vote.class, frames: vote.frames })),
      history: track.history.map((change) => ({
        wallMs: Date.parse(change.at),
        className: change.class,
        score: change.score,
      })),
    },
    presumed: presumed && {
      className: presumed.class,
      source: presumed.source,
      confidence: presumed.confidence,
    },
    label: label && {
      className: label.class,
      ...(label.box === undefined ? {} : { box: boxOf(label.box) }),
      wallMs: Date.parse(label.at),
    },
  };
};

/** `event/example`: meta data, never the picture. */
export const exampleEvent = (example: Example): OutboxBody<'event/example'> => {
  const { object, presumed, picture, track } = example;
  const { width, height } = picture.frame;
  return {
    example: example.id,
    taken_at: iso(example.takenMs),
    reason: example.reason,
    class: object.className,
    score: share(object.score),
    ...(object.rival === undefined ? {} : { rival: object.rival.className }),
    ...(presumed === null ? {} : { presumed_class: presumed.className, source: presumed.source }),
    box: [
      share((object.x1 + picture.left) / width),
      share((object.y1 + picture.top) / height),
      share((object.x2 + picture.left) / width),
      share((object.y2 + picture.top) / height),
    ],
    model: example.model,
    ...(track === null ? {} : { track: track.key }),
    picture_bytes: picture.bytes,
  };
};

/** `confusions`, and the answer of `cmd/examples/confusions`. */
export const confusionsMessage = (
  report: ConfusionReport,
  { windowDays, halfLifeDays }: ConfusionsConfig,
): StateBody<'confusions'> => ({
  window_days: windowDays,
  half_life_days: halfLifeDays,
  classes: [...report.classes],
  matrix: report.matrix.counts.map((row) => row.map(thousandth)),
  pairs: report.pairs.map(({ a, b, aAsB, bAsA, support, rate, lower, critical, because, sources }) => ({
    a,
    b,
    a_as_b: thousandth(aAsB),
    b_as_a: thousandth(bAsA),
    support: thousandth(support),
    rate: share(rate),
    lower: share(lower),
    critical,
    because,
    sources: {
      operator: partMessage(sources.operator),
      track: partMessage(sources.track),
      teacher: partMessage(sources.teacher),
    },
  })),
  sources: {
    operator: sourceMessage(report.sources.operator),
    track: sourceMessage(report.sources.track),
    teacher: sourceMessage(report.sources.teacher),
  },
  models: Object.fromEntries(Object.entries(report.models).map(([id, weight]) => [id, thousandth(weight)])),
});

const partMessage = (part: { confused: number; support: number; lower: number }) => ({
  confused: thousandth(part.confused),
  support: thousandth(part.support),
  lower: share(part.lower),
});

const sourceMessage = (part: { observations: number; weight: number }) => ({
  observations: part.observations,
  weight: thousandth(part.weight),
});
