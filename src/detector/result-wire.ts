// How what was seen crosses back to the supervisor: a fixed head, then eight numbers a detection. Binary, over a pipe of its own: node's
// message channel takes several times as long, on the way of every frame.
import { BitlaneError } from '../errors.js';
import type { Detection } from '../vision/index.js';

/** Numbers of one detection: x1, y1, x2, y2 in pixels of the frame, class index, score, next best class (-1: none), its score. */
export const ROW = 8;
const MAX_ROWS = 1000;
const MAGIC = 0x5253_4e42;
/** Little endian: magic u32, rows u32, seq f64, nonFinite f64, then the three timings f64. */
const HEAD_BYTES = 48;
const ROW_BYTES = 8 * ROW;

/** Where the time of one frame went, in the detector process. */
export interface Timings {
  readonly preprocessMs: number;
  readonly inferenceMs: number;
  readonly postprocessMs: number;
}

export interface Seen {
  readonly seq: number;
  /** Rows of {@link ROW} numbers, one after the other. */
  readonly rows: readonly number[];
  /** Outputs that were not finite numbers; they never become detections. */
  readonly nonFinite: number;
  readonly timings: Timings;
}

/** The bytes of one answer. */
export const encodeSeen = ({ seq, rows, nonFinite, timings }: Seen): Uint8Array => {
  const bytes = new Uint8Array(HEAD_BYTES + 8 * rows.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, MAGIC, true);
  view.setUint32(4, rows.length / ROW, true);
  const { preprocessMs, inferenceMs, postprocessMs } = timings;
  for (const [index, value] of [
    seq,
    nonFinite,
    preprocessMs,
    inferenceMs,
    postprocessMs,
    ...rows,
  ].entries()) {
    view.setFloat64(8 + 8 * index, value, true);
  }
  return bytes;
};

const bad = (rule: string): never => {
  throw new BitlaneError('DETECTOR_FAILED', `the detector process sent ${rule}`);
};

const isCount = (value: number): boolean => Number.isSafeInteger(value) && value >= 0;

const checkRow = (row: readonly number[]): void => {
  const [, , , , classId = NaN, score = NaN, rivalId = NaN, rivalScore = NaN] = row;
  const areShares = [score, rivalScore].every((value) => value >= 0 && value <= 1);
  if (!row.every(Number.isFinite) || !isCount(classId) || !isCount(rivalId + 1) || !areShares) {
    bad('a detection that breaks the protocol');
  }
};

/** Rows as detections. */
export const toDetections = (rows: readonly number[]): Detection[] => {
  const detections: Detection[] = [];
  for (let at = 0; at < rows.length; at += ROW) {
    const [x1 = 0, y1 = 0, x2 = 0, y2 = 0, classId = 0, score = 0, rivalId = -1, rivalScore = 0] = rows.slice(
      at,
      at + ROW,
    );
    const found = { x1, y1, x2, y2, classId, score };
    detections.push(rivalId < 0 ? found : { ...found, rival: { classId: rivalId, score: rivalScore } });
  }
  return detections;
};

/** Detections as rows. */
export const toRows = (detections: readonly Detection[]): number[] =>
  detections.flatMap(({ x1, y1, x2, y2, classId, score, rival }) => [
    x1,
    y1,
    x2,
    y2,
    classId,
    score,
    rival?.classId ?? -1,
    rival?.score ?? 0,
  ]);

const decodeSeen = (view: DataView, count: number): Seen => {
  const number = (index: number): number => view.getFloat64(8 + 8 * index, true);
  const [seq, nonFinite] = [number(0), number(1)];
  const timings = { preprocessMs: number(2), inferenceMs: number(3), postprocessMs: number(4) };
  if (!isCount(seq) || !isCount(nonFinite)) bad('an answer that counts wrongly');
  if (!Object.values(timings).every((value) => Number.isFinite(value) && value >= 0)) {
    bad('an answer with impossible timings');
  }
  const rows: number[] = [];
  for (let row = 0; row < count; row += 1) {
    const values = Array.from({ length: ROW }, (_, column) => number(5 + row * ROW + column));
    checkRow(values);
    rows.push(...values);
  }
  return { seq, rows, nonFinite, timings };
};

/** Cuts the byte stream back into answers. A stream that breaks the format cannot be found again. */
export class SeenReader {
  readonly #onSeen: (seen: Seen) => void;
  #rest = new Uint8Array(0);

  constructor(onSeen: (seen: Seen) => void) {
    this.#onSeen = onSeen;
  }

  /** Takes the next bytes. Throws `DETECTOR_FAILED` when they break the format. */
  push(chunk: Uint8Array): void {
    let bytes = chunk;
    if (this.#rest.byteLength > 0) {
      bytes = new Uint8Array(this.#rest.byteLength + chunk.byteLength);
      bytes.set(this.#rest);
      bytes.set(chunk, this.#rest.byteLength);
    }
    let at = 0;
    while (bytes.byteLength - at >= HEAD_BYTES) {
      const view = new DataView(bytes.buffer, bytes.byteOffset + at, bytes.byteLength - at);
      if (view.getUint32(0, true) !== MAGIC) bad('bytes that are no answer');
      const count = view.getUint32(4, true);
      if (count > MAX_ROWS) bad(`an answer with ${count} detections, and ${MAX_ROWS} are the most`);
      const length = HEAD_BYTES + ROW_BYTES * count;
      if (view.byteLength < length) break;
      at += length;
      this.#onSeen(decodeSeen(view, count));
    }
    this.#rest = bytes.slice(at);
  }
}
