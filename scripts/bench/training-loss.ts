// A detection loss with given targets, the same here and in the reference: cross entropies, and 1 - IoU where there is an object.
import { dimsOf, type Ops } from '../../src/autodiff/index.js';
import type { Value } from '../../src/onnx/index.js';
import { floatTensor, type Tensors } from '../../src/runtime/index.js';
import type { BuildLoss } from '../../src/training/index.js';

const STRIDES = [8, 16, 32];
const EPSILON = 1e-6;

/** Column, row and stride of every place, [places, 3], for a square picture. */
export const placesOf = (size: number): Float32Array => {
  const rows = STRIDES.flatMap((stride) => {
    const side = size / stride;
    return Array.from({ length: side * side }, (_, i) => [i % side, Math.floor(i / side), stride]);
  });
  return Float32Array.from(rows.flat());
};

const crossEntropy = (ops: Ops, probability: Value, target: Value): Value => {
  const inside = ops.add(ops.mul(probability, 1 - 2 * EPSILON), EPSILON);
  const yes = ops.mul(target, ops.map('Log', inside));
  const no = ops.mul(ops.sub(1, target), ops.map('Log', ops.sub(1, inside)));
  return ops.neg(ops.add(yes, no));
};

const corners = (ops: Ops, centre: Value, size: Value): [Value, Value] => {
  const half = ops.mul(size, 0.5);
  return [ops.sub(centre, half), ops.add(centre, half)];
};

const area = (ops: Ops, size: Value): Value => {
  const dims = dimsOf(size);
  const [w, h] = ops.split(size, 2, [1, 1]);
  return w === undefined || h === undefined ? size : ops.reshape(ops.mul(w, h), [...dims.slice(0, 2), 1]);
};

/** For outputs [N, places, 5 + classes] of a square picture of `size` pixels. */
export const givenTargets =
  (size: number): BuildLoss =>
  ({ graph, ops, outputs, batch }) => {
    const [output] = outputs;
    if (output === undefined) throw new TypeError('the model has no output');
    const [, places = 0, width = 0] = dimsOf(output);
    const input = (name: string, columns: number): Value =>
      graph.addInput(name, 'float32', [batch, places, columns]);
    const [boxes, classes, positive] = [input('boxes', 4), input('classes', width - 5), input('positive', 1)];
    const [xy, wh, objectness, scores] = ops.split(output, 2, [2, 2, 1, width - 5]);
    const at = placesOf(size);
    const grid = ops.floats(
      [1, places, 2],
      Array.from({ length: 2 * places }, (_, i) => at[3 * (i >> 1) + (i & 1)] ?? 0),
    );
    const stride = ops.floats(
      [1, places, 1],
      Array.from({ length: places }, (_, i) => at[3 * i + 2] ?? 1),
    );
    if (xy === undefined || wh === undefined || objectness === undefined || scores === undefined) {
      throw new TypeError('four parts');
    }
    const centre = ops.mul(ops.add(xy, grid), stride);
    const extent = ops.mul(ops.map('Exp', wh), stride);
    const [trueCentre, trueExtent] = ops.split(boxes, 2, [2, 2]);
    if (trueCentre === undefined || trueExtent === undefined) throw new TypeError('two parts');
    const [low, high] = corners(ops, centre, extent);
    const [trueLow, trueHigh] = corners(ops, trueCentre, trueExtent);
    const dims = dimsOf(low);
    const overlap = ops.map(
      'Relu',
      ops.sub(ops.op('Min', [high, trueHigh], dims), ops.op('Max', [low, trueLow], dims)),
    );
    const shared = area(ops, overlap);
    const union = ops.sub(ops.add(area(ops, extent), area(ops, trueExtent)), shared);
    const iou = ops.div(shared, ops.add(union, EPSILON));
    const count = ops.add(ops.sum(positive, [0, 1, 2], false), 1);
    const mean = (value: Value): Value => ops.div(ops.sum(value, [0, 1, 2], false), count);
    const box = mean(ops.mul(ops.sub(1, iou), positive));
    const object = mean(crossEntropy(ops, objectness, positive));
    const type = mean(ops.mul(crossEntropy(ops, scores, classes), positive));
    const loss = ops.add(ops.add(ops.mul(box, 5), object), type);
    return { loss, parts: { box, objectness: object, class: type } };
  };

/** Numbers that are the same everywhere: a generator of Park and Miller. */
export const numbers = (seed: number): (() => number) => {
  let state = seed;
  return () => {
    state = (state * 48271) % 2147483647;
    return state / 2147483647;
  };
};

/** A batch that could be one: noise for pictures, one place in fifty an object near where it is. */
export const givenBatch = (batch: number, size: number, classes: number, seed = 7): Tensors => {
  const next = numbers(seed);
  const at = placesOf(size);
  const places = at.length / 3;
  const images = floatTensor(
    [batch, 3, size, size],
    Float32Array.from({ length: batch * 3 * size * size }, () => Math.floor(256 * next())),
  );
  const [boxes, types, positive] = [4, classes, 1].map(
    (columns) => new Float32Array(batch * places * columns),
  );
  if (boxes === undefined || types === undefined || positive === undefined) throw new TypeError('three');
  for (let i = 0; i < batch * places; i++) {
    const place = i % places;
    const stride = at[3 * place + 2] ?? 1;
    boxes.set(
      [
        ((at[3 * place] ?? 0) + next()) * stride,
        ((at[3 * place + 1] ?? 0) + next()) * stride,
        (2 + 6 * next()) * stride,
        (2 + 6 * next()) * stride,
      ],
      4 * i,
    );
    if (next() >= 0.02) continue;
    positive[i] = 1;
    types[classes * i + Math.floor(classes * next())] = 1;
  }
  return {
    images,
    boxes: floatTensor([batch, places, 4], boxes),
    classes: floatTensor([batch, places, classes], types),
    positive: floatTensor([batch, places, 1], positive),
  };
};
