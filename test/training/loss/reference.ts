// The detection loss once more, the plain way: loops over every cell and object, in double precision.
import type { Target } from '../../../src/training/index.js';

export interface Case {
  readonly strides: readonly number[];
  readonly width: number;
  readonly height: number;
  readonly classes: number;
}

interface Cell {
  readonly column: number;
  readonly row: number;
  readonly stride: number;
}

export const cellsOf = ({ strides, width, height }: Case): Cell[] =>
  strides.flatMap((stride) => {
    const [columns, rows] = [Math.ceil(width / stride), Math.ceil(height / stride)];
    return Array.from({ length: columns * rows }, (_, i) => ({
      column: i % columns,
      row: Math.floor(i / columns),
      stride,
    }));
  });

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));
const bce = (x: number, t: number): number => Math.max(x, 0) - x * t + Math.log1p(Math.exp(-Math.abs(x)));

type Corners = readonly [number, number, number, number];

const boxOf = (values: ArrayLike<number>, at: number, { column, row, stride }: Cell): Corners => {
  const [x = 0, y = 0, w = 0, h = 0] = Array.from({ length: 4 }, (_, i) => values[at + i] ?? 0);
  const [cx, cy] = [(x + column) * stride, (y + row) * stride];
  const [sx, sy] = [Math.exp(w) * stride, Math.exp(h) * stride];
  return [cx - sx / 2, cy - sy / 2, cx + sx / 2, cy + sy / 2];
};

const areaOf = ([x1, y1, x2, y2]: Corners): number => (x2 - x1) * (y2 - y1);

export const iouOf = (a: Corners, b: Corners): number => {
  const wide = Math.max(0, Math.min(a[2], b[2]) - Math.max(a[0], b[0]));
  const high = Math.max(0, Math.min(a[3], b[3]) - Math.max(a[1], b[1]));
  return (wide * high) / (areaOf(a) + areaOf(b) - wide * high);
};

const giouOf = (a: Corners, b: Corners): number => {
  const hull = (Math.max(a[2], b[2]) - Math.min(a[0], b[0])) * (Math.max(a[3], b[3]) - Math.min(a[1], b[1]));
  const iou = iouOf(a, b);
  const union = (areaOf(a) + areaOf(b)) / (1 + iou);
  return iou - (hull - union) / hull;
};

export interface Match {
  readonly cell: number;
  readonly object: number;
  readonly iou: number;
}

export interface Matches {
  readonly matches: readonly Match[];
  /** How near the closest of all decisions was: below a rounding error either outcome is right. */
  readonly margin: number;
}

/** SimOTA of one picture; `values` are its rows, logits and raw boxes. */
export const simOta = (given: Case, values: ArrayLike<number>, objects: readonly Target[]): Matches => {
  const cells = cellsOf(given);
  const rowWidth = 5 + given.classes;
  let margin = Infinity;
  const wishes: { cell: number; object: number; cost: number; iou: number }[] = [];
  objects.forEach((target, object) => {
    const [cx, cy] = [(target.x1 + target.x2) / 2, (target.y1 + target.y2) / 2];
    const candidates = cells.flatMap((cell, index) => {
      const [dx, dy] = [
        Math.abs((cell.column + 0.5) * cell.stride - cx),
        Math.abs((cell.row + 0.5) * cell.stride - cy),
      ];
      if (Math.max(dx, dy) > 1.5 * cell.stride) return [];
      const at = index * rowWidth;
      const iou = iouOf(boxOf(values, at, cell), [target.x1, target.y1, target.x2, target.y2]);
      const objectness = sigmoid(values[at + 4] ?? 0);
      let cost = -3 * Math.log(iou + 1e-8);
      for (let k = 0; k < given.classes; k += 1) {
        const p = Math.min(
          Math.max(Math.sqrt(objectness * sigmoid(values[at + 5 + k] ?? 0)), 1e-7),
          1 - 1e-7,
        );
        cost -= k === target.classId ? Math.log(p) : Math.log(1 - p);
      }
      return [{ cell: index, object, cost, iou }];
    });
    const overlaps = candidates.map(({ iou }) => iou).sort((a, b) => b - a);
    const sum = overlaps.slice(0, 10).reduce((a, b) => a + b, 0);
    margin = Math.min(margin, Math.abs(sum + 1e-4 - Math.round(sum + 1e-4)));
    const count = Math.max(1, Math.floor(sum + 1e-4));
    const byCost = [...candidates].sort((a, b) => a.cost - b.cost);
    const [last, next] = [byCost[count - 1]?.cost ?? 0, byCost[count]?.cost ?? Infinity];
    margin = Math.min(margin, (next - last) / Math.max(1, last));
    wishes.push(...byCost.slice(0, count));
  });
  const matches = wishes.filter((wish) =>
    wishes.every((other) => {
      if (other.cell !== wish.cell || other.object === wish.object) return true;
      const apart = Math.abs(other.cost - wish.cost) / Math.max(1, wish.cost);
      if (apart > 0) margin = Math.min(margin, apart);
      return other.cost > wish.cost || (other.cost === wish.cost && other.object > wish.object);
    }),
  );
  return { matches, margin };
};

export interface Loss {
  readonly loss: number;
  readonly box: number;
  readonly objectness: number;
  readonly class: number;
  readonly positives: number;
}

/** The loss of a batch under an assignment that is given. */
export const lossOf = (
  given: Case,
  values: ArrayLike<number>,
  pictures: readonly { readonly objects: readonly Target[]; readonly matches: readonly Match[] }[],
  options: {
    readonly box: 'iou' | 'giou';
    readonly attention: (picture: number, cell: number) => number;
    readonly classWeights?: Float32Array;
  },
): Loss => {
  const cells = cellsOf(given);
  const rowWidth = 5 + given.classes;
  let [box, objectness, classes, positives] = [0, 0, 0, 0];
  pictures.forEach(({ objects, matches }, n) => {
    const start = n * cells.length * rowWidth;
    cells.forEach((_, index) => {
      const match = matches.find(({ cell }) => cell === index);
      const weight = match === undefined ? options.attention(n, index) : (objects[match.object]?.weight ?? 0);
      objectness += weight * bce(values[start + index * rowWidth + 4] ?? 0, match === undefined ? 0 : 1);
    });
    for (const { cell, object, iou } of matches) {
      const target = objects[object];
      const place = cells[cell];
      if (target === undefined || place === undefined) throw new Error('no such match');
      const at = start + cell * rowWidth;
      const said = boxOf(values, at, place);
      const real: Corners = [target.x1, target.y1, target.x2, target.y2];
      box += target.weight * (options.box === 'iou' ? 1 - iouOf(said, real) ** 2 : 1 - giouOf(said, real));
      for (let k = 0; k < given.classes; k += 1) {
        const weight = options.classWeights?.[target.classId * given.classes + k] ?? 1;
        classes += target.weight * weight * bce(values[at + 5 + k] ?? 0, k === target.classId ? iou : 0);
      }
      positives += target.weight;
    }
  });
  const count = Math.max(1, positives);
  const parts = { box: box / count, objectness: objectness / count, class: classes / count };
  return { loss: 5 * parts.box + parts.objectness + parts.class, ...parts, positives };
};
