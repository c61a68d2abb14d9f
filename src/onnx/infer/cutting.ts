// Shape rules of Slice and Split.
import type { Dim } from '../types.js';
import { axisOf, compute, dimOf, type Known, type Rule } from './context.js';

const clamp = (value: number, low: number, high: number): number => Math.min(Math.max(value, low), high);

/** Start, end and step on an axis of `size`, as positions. */
const bounds = (size: number, start: number, end: number, step: number): { from: number; to: number } => {
  const [s, e] = [start < 0 ? start + size : start, end < 0 ? end + size : end];
  return step > 0
    ? { from: clamp(s, 0, size), to: clamp(e, 0, size) }
    : { from: clamp(s, 0, size - 1), to: clamp(e, -1, size - 1) };
};

export const sliceRule: Rule = (node) => {
  const type = node.type(0);
  const shape = node.shape(0);
  if (shape === undefined) return [{ type }];
  const [starts, ends] = [node.numbers(1), node.numbers(2)];
  const axes = node.has(3) ? node.numbers(3) : starts?.map((_, i) => i);
  const steps = node.has(4) ? node.numbers(4) : starts?.map(() => 1);
  if (axes === undefined) return [{ type, shape: shape.map(() => '') }];
  const result: Dim[] = [...shape];
  let content = node.content(0);
  for (const [i, axis] of axes.entries()) {
    const at = axisOf(axis, shape.length);
    if (at === undefined) return [{ type }];
    const [start, end, step] = [starts?.[i], ends?.[i], steps?.[i]];
    const size = shape[at] ?? '';
    if (start === undefined || end === undefined || step === undefined || step === 0) {
      result[at] = '';
      content = undefined;
      continue;
    }
    // All of a symbolic dimension is still all of it.
    if (typeof size === 'string' && start === 0 && step === 1 && end >= 2 ** 31 - 1) continue;
    result[at] = compute([size], (length) => {
      const { from, to } = bounds(length, start, end, step);
      return Math.max(0, Math.ceil((to - from) / step));
    });
    if (content !== undefined) {
      const { from } = bounds(content.length, start, end, step);
      const count = result[at];
      const old = content;
      content =
        typeof count === 'number' && count <= old.length
          ? Array.from({ length: count }, (_, k): Dim => old[from + k * step] ?? '')
          : undefined;
    }
  }
  return [{ type, shape: result, content: shape.length === 1 ? content : undefined }];
};

export const splitRule: Rule = (node) => {
  const type = node.type(0);
  const shape = node.shape(0);
  const count = node.node.outputs.length;
  if (shape === undefined) return Array<Known>(count).fill({ type });
  const axis = axisOf(node.node.int('axis', 0), shape.length);
  if (axis === undefined) return Array<Known>(count).fill({ type });
  const sizes = node.list('split', 1);
  const size = shape[axis] ?? '';
  const content = shape.length === 1 ? node.content(0) : undefined;
  let at = 0;
  return Array.from({ length: count }, (_, i): Known => {
    const part: Dim =
      sizes === 'absent'
        ? compute([size], (length) => {
            const each = Math.ceil(length / count);
            return clamp(length - i * each, 0, each);
          })
        : dimOf(sizes?.[i] ?? -1);
    const from = at;
    at = typeof part === 'number' ? at + part : NaN;
    return {
      type,
      shape: shape.map((dim, k) => (k === axis ? part : dim)),
      content: content !== undefined && Number.isSafeInteger(at) ? content.slice(from, at) : undefined,
    };
  });
};
