// What Resize does along each axis, as a matrix [outputs, inputs]: it is linear, and one axis does not know of another.
import type { Step } from '../step.js';

/** Where output `at` lies in the input. */
const placeOf = (mode: string, at: number, scale: number, from: number, to: number): number | undefined => {
  switch (mode) {
    case 'half_pixel':
      return (at + 0.5) / scale - 0.5;
    case 'pytorch_half_pixel':
      return to > 1 ? (at + 0.5) / scale - 0.5 : 0;
    case 'half_pixel_symmetric': {
      const adjustment = to / (scale * from);
      return (from / 2) * (1 - adjustment) + (at + 0.5) / scale - 0.5;
    }
    case 'asymmetric':
      return at / scale;
    case 'align_corners':
      return to === 1 ? 0 : (at * (from - 1)) / (to - 1);
    default:
      return undefined;
  }
};

const nearest = (mode: string, place: number): number => {
  switch (mode) {
    case 'floor':
      return Math.floor(place);
    case 'ceil':
      return Math.ceil(place);
    case 'round_prefer_ceil':
      return Math.floor(place + 0.5);
    default:
      return Math.ceil(place - 0.5);
  }
};

/** The matrix of each axis whose elements change. */
export const resizeMatrices = (s: Step): ReadonlyMap<number, readonly Float64Array[]> => {
  const { node } = s;
  const mode = node.text('mode', 'nearest');
  const transformation = node.text('coordinate_transformation_mode', 'half_pixel');
  if (mode !== 'nearest' && mode !== 'linear') throw s.refuse('only the modes nearest and linear have one');
  if (node.int('antialias', 0) !== 0) throw s.refuse('only Resize without antialias has one');
  const [dims, result] = [s.dims(), s.result()];
  const axes = (node.ints('axes') ?? dims.map((_, i) => i)).map((axis) =>
    axis < 0 ? axis + dims.length : axis,
  );
  const scales = s.has(2) ? s.numbers(2) : undefined;
  const matrices = new Map<number, readonly Float64Array[]>();
  for (const [i, axis] of axes.entries()) {
    const [from, to] = [dims[axis] ?? 1, result[axis] ?? 1];
    const given = scales?.[i];
    const scale = given ?? to / from;
    // Nothing changes along it.
    if (from === to && scale === 1) continue;
    const rows = Array.from({ length: to }, (_, at) => {
      const place = placeOf(transformation, at, scale, from, to);
      if (place === undefined) throw s.refuse(`the coordinate transformation ${transformation} has none`);
      const row = new Float64Array(from);
      const add = (index: number, share: number): void => {
        const inside = Math.min(Math.max(index, 0), from - 1);
        row[inside] = (row[inside] ?? 0) + share;
      };
      if (mode === 'nearest') add(nearest(node.text('nearest_mode', 'round_prefer_floor'), place), 1);
      else {
        const low = Math.floor(place);
        add(low, 1 - (place - low));
        add(low + 1, place - low);
      }
      return row;
    });
    matrices.set(axis, rows);
  }
  return matrices;
};
