// Heads and suppression once more, slow and straight from the formulas: what the fast ones are held against.
import type { DetectorSpec, HeadSpec } from '../../src/registry/index.js';
import type { Tensors } from '../../src/runtime/index.js';
import type { Box, Detection } from '../../src/vision/index.js';

type Rows = readonly (readonly number[])[];
export interface NaiveResult {
  readonly detections: Detection[];
  readonly nonFinite: number;
}

/** An output [1, rows, columns] as rows. */
const rowsOf = (outputs: Tensors, name: string): Rows => {
  const tensor = outputs[name];
  if (tensor === undefined) throw new Error(`no output ${name}`);
  const [, rows = 0, columns = 0] = tensor.dims;
  return Array.from({ length: rows }, (_, r) =>
    Array.from({ length: columns }, (_, c) => Number(tensor.data[r * columns + c])),
  );
};
const transpose = (rows: Rows): Rows => (rows[0] ?? []).map((_, c) => rows.map((row) => row[c] ?? NaN));
const bad = (values: readonly number[]): number => values.filter((value) => !Number.isFinite(value)).length;
const best = (scores: readonly number[]): number =>
  scores.indexOf(Math.max(...scores.filter((score) => !Number.isNaN(score))));
const centred = (cx: number, cy: number, w: number, h: number): Box => ({
  x1: cx - w / 2,
  y1: cy - h / 2,
  x2: cx + w / 2,
  y2: cy + h / 2,
});

/** x and y of every cell, with its stride. */
const cellsOf = (width: number, height: number, strides: readonly number[]) =>
  strides.flatMap((stride) => {
    const cells: { x: number; y: number; stride: number }[] = [];
    for (let y = 0; y * stride < height; y++) {
      for (let x = 0; x * stride < width; x++) cells.push({ x, y, stride });
    }
    return cells;
  });

interface Place {
  /** Values that make the place invalid, where they are looked at. */
  readonly nonFinite: number;
  readonly box?: Box;
  /** Of each class. */
  readonly scores: readonly number[];
}

const yolox = (
  head: Extract<HeadSpec, { type: 'yolox' }>,
  spec: DetectorSpec,
  outputs: Tensors,
  t: number,
) => {
  const cells = cellsOf(spec.input.width, spec.input.height, head.strides);
  return rowsOf(outputs, head.output).map((row, i): Place => {
    const [x = 0, y = 0, w = 0, h = 0, objectness = 0, ...classes] = row;
    const nothing = { nonFinite: 0, scores: [] };
    if (Number.isFinite(objectness) && objectness < t) return nothing;
    if (bad(row) > 0) return { ...nothing, nonFinite: bad(row) };
    const scores = classes.map((score) => objectness * score);
    if (head.boxes === 'decoded') return { nonFinite: 0, box: centred(x, y, w, h), scores };
    const cell = cells[i];
    if (cell === undefined) throw new Error('more rows than cells');
    const sides = [w, h].map((side) => Math.exp(side) * cell.stride);
    const overflows = sides.filter((side) => side > 3.4028235e38).length;
    if (Math.max(...scores) >= t && overflows > 0) return { ...nothing, nonFinite: overflows };
    const [bw = 0, bh = 0] = sides;
    return {
      nonFinite: 0,
      box: centred((x + cell.x) * cell.stride, (y + cell.y) * cell.stride, bw, bh),
      scores,
    };
  });
};

const yolov8 = (head: Extract<HeadSpec, { type: 'yolov8' }>, outputs: Tensors, t: number) => {
  const rows = rowsOf(outputs, head.output);
  return (head.layout === 'channels-first' ? transpose(rows) : rows).map((row): Place => {
    const [x = 0, y = 0, w = 0, h = 0, ...classes] = row;
    if (bad(classes) > 0) return { nonFinite: bad(classes), scores: [] };
    const wrong = Math.max(...classes) >= t ? bad([x, y, w, h]) : 0;
    return { nonFinite: wrong, box: centred(x, y, w, h), scores: classes };
  });
};

const endToEnd = (head: Extract<HeadSpec, { type: 'end-to-end' }>, spec: DetectorSpec, outputs: Tensors) =>
  rowsOf(outputs, head.output).map((row): Place => {
    const [x1 = 0, y1 = 0, x2 = 0, y2 = 0, score = 0, classId = 0] = row;
    const scores = spec.classes.map((_, id) => (id === classId ? score : NaN));
    return { nonFinite: bad(row), box: { x1, y1, x2, y2 }, scores };
  });

const gfl = (head: Extract<HeadSpec, { type: 'gfl' }>, spec: DetectorSpec, outputs: Tensors, t: number) => {
  const classes = spec.classes.length;
  const joined = head.outputs.flatMap((name, i) => {
    const scores = rowsOf(outputs, name);
    const boxName = head.boxOutputs[i];
    if (boxName === undefined) return scores;
    const distances = rowsOf(outputs, boxName);
    return scores.map((row, r) => [...row, ...(distances[r] ?? [])]);
  });
  return cellsOf(spec.input.width, spec.input.height, head.strides).map(({ x, y, stride }, i): Place => {
    const row = joined[i] ?? [];
    const raw = row.slice(0, classes);
    const logits = row.slice(classes);
    if (bad(raw) > 0) return { nonFinite: bad(raw), scores: [] };
    const scores = head.scores === 'logits' ? raw.map((value) => 1 / (1 + Math.exp(-value))) : raw;
    if (Math.max(...scores) >= t && bad(logits) > 0) return { nonFinite: bad(logits), scores };
    const bins = head.regMax + 1;
    const [left = 0, top = 0, right = 0, bottom = 0] = [0, 1, 2, 3].map((side) => {
      const own = logits.slice(side * bins, (side + 1) * bins);
      const shares = own.map((value) => Math.exp(value - Math.max(...own)));
      const total = shares.reduce((sum, share) => sum + share, 0);
      return shares.reduce((sum, share, bin) => sum + (share / total) * bin, 0) * stride;
    });
    const [px, py] = [(x + head.cellOffset) * stride, (y + head.cellOffset) * stride];
    return {
      nonFinite: 0,
      box: { x1: px - left, y1: py - top, x2: px + right, y2: py + bottom },
      scores,
    };
  });
};

const placesOf = (spec: DetectorSpec, outputs: Tensors, threshold: number): Place[] => {
  const { head } = spec;
  switch (head.type) {
    case 'yolox':
      return yolox(head, spec, outputs, threshold);
    case 'yolov8':
      return yolov8(head, outputs, threshold);
    case 'end-to-end':
      return endToEnd(head, spec, outputs);
    case 'gfl':
      return gfl(head, spec, outputs, threshold);
  }
};

export const naiveDecode = (
  spec: DetectorSpec,
  outputs: Tensors,
  threshold: number,
  keep: readonly boolean[] = spec.classes.map(() => true),
  labels: 'best' | 'all' = 'best',
): NaiveResult => {
  const places = placesOf(spec, outputs, threshold);
  return {
    nonFinite: places.reduce((sum, place) => sum + place.nonFinite, 0),
    detections: places.flatMap(({ nonFinite, box, scores }) => {
      if (nonFinite > 0 || box === undefined || box.x2 <= box.x1 || box.y2 <= box.y1) return [];
      return scores.flatMap((score, classId) =>
        (labels === 'all' || classId === best(scores)) && keep[classId] === true && score >= threshold
          ? [{ ...box, classId, score: Math.min(score, 1) }]
          : [],
      );
    }),
  };
};

const naiveIou = (a: Box, b: Box): number => {
  const width = Math.min(a.x2, b.x2) - Math.max(a.x1, b.x1);
  const height = Math.min(a.y2, b.y2) - Math.max(a.y1, b.y1);
  if (width <= 0 || height <= 0) return 0;
  const area = (box: Box): number => (box.x2 - box.x1) * (box.y2 - box.y1);
  return (width * height) / (area(a) + area(b) - width * height);
};

/** Takes the best that is left and removes what it covers, again and again. */
export const naiveSuppression = (
  detections: readonly Detection[],
  iouThreshold: number,
  maxDetections: number,
): Detection[] => {
  let left = [...detections];
  const kept: Detection[] = [];
  while (left.length > 0 && kept.length < maxDetections) {
    const top = left.reduce((a, b) => (b.score > a.score ? b : a));
    kept.push(top);
    left = left.filter(
      (other) => other !== top && (other.classId !== top.classId || naiveIou(other, top) <= iouThreshold),
    );
  }
  return kept;
};
