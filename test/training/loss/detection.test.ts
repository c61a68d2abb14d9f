// The detection loss against a plain one: the same assignment, the same numbers, the same gradient.
import fc from 'fast-check';
import t from 'tap';
import { gradient, GRADIENT_SESSION, Ops } from '../../../src/autodiff/index.js';
import { writeModel } from '../../../src/onnx/index.js';
import type { DetectorSpec } from '../../../src/registry/index.js';
import { floatTensor, withSession } from '../../../src/runtime/index.js';
import { detectionLoss, type Target, targetFeeds } from '../../../src/training/index.js';
import { assign } from '../../../src/training/loss/assignment.js';
import { columns, rowsOf, yoloxSpec } from '../../../src/training/loss/cells.js';
import { Net } from '../../onnx/net.js';
import { type Case, cellsOf, lossOf, type Match, simOta } from './reference.js';

const specOf = ({ strides, width, height, classes }: Case): DetectorSpec => ({
  input: {
    name: 'x',
    width,
    height,
    colourOrder: 'bgr',
    mean: [0, 0, 0],
    scale: [1, 1, 1],
    letterbox: 'top-left',
    pad: 114,
  },
  head: { type: 'yolox', output: 'output', boxes: 'raw', strides: [...strides] },
  classes: Array.from({ length: classes }, (_, i) => `class${i}`),
});

/** A model whose output is its input, scores through a sigmoid. */
const headOnly = (given: Case, batch: number) => {
  const cells = cellsOf(given).length;
  const width = 5 + given.classes;
  const net = new Net(18);
  const x = net.input('x', [batch, width, cells]);
  const cut = (from: number, to: number) => net.op('Slice', [x, [from], [to], [1]]);
  const joined = net.op('Concat', [cut(0, 4), net.op('Sigmoid', [cut(4, width)])], { axis: 1 });
  const output = net.op('Transpose', [joined], { perm: [0, 2, 1] });
  net.graph.rename(output, 'output');
  output.shape = [batch, cells, width];
  const model = net.model(output);
  return { model, output, cells, width };
};

interface Scenario {
  readonly given: Case;
  readonly values: Float32Array;
  readonly pictures: readonly { readonly objects: readonly Target[] }[];
}

const scenario: fc.Arbitrary<Scenario> = fc
  .record(
    {
      strides: fc.constantFrom([8], [8, 16], [16, 32], [8, 16, 32]),
      wide: fc.integer({ min: 1, max: 3 }),
      high: fc.integer({ min: 1, max: 3 }),
      classes: fc.integer({ min: 1, max: 4 }),
      batch: fc.integer({ min: 1, max: 2 }),
      seed: fc.integer({ min: 1, max: 2 ** 30 }),
      crowded: fc.boolean(),
    },
    { noNullPrototype: true },
  )
  .map(({ strides, wide, high, classes, batch, seed, crowded }) => {
    const given = { strides, width: 32 * wide, height: 32 * high, classes };
    let state = seed;
    const next = (): number => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return state / 2 ** 32;
    };
    const cells = cellsOf(given).length;
    const values = Float32Array.from({ length: batch * cells * (5 + classes) }, () => 3 * (next() - 0.5));
    const pictures = Array.from({ length: batch }, () => ({
      objects: Array.from({ length: Math.floor(next() * 6) }, () => {
        // Crowded: centres close together, so that objects want the same cells.
        const spread = crowded ? 0.1 : 0.9;
        const cx = given.width * (0.5 + spread * (next() - 0.5));
        const cy = given.height * (0.5 + spread * (next() - 0.5));
        const [w, h] = [4 + next() * given.width * 0.6, 4 + next() * given.height * 0.6];
        const [x1, y1] = [Math.max(0, cx - w / 2), Math.max(0, cy - h / 2)];
        const [x2, y2] = [Math.min(given.width, cx + w / 2), Math.min(given.height, cy + h / 2)];
        return { x1, y1, x2, y2, classId: Math.floor(next() * classes), weight: 0.5 + next() };
      }),
    }));
    return { given, values, pictures };
  });

const OBJECTS = 6;

/** Rows by cell become the model's input, which has channels first. */
const channelsFirst = (values: Float32Array, batch: number, cells: number, width: number): Float32Array =>
  Float32Array.from({ length: values.length }, (_, i) => {
    const [n, rest] = [Math.floor(i / (cells * width)), i % (cells * width)];
    const [column, cell] = [Math.floor(rest / cells), rest % cells];
    return values[(n * cells + cell) * width + column] ?? 0;
  }).slice(0, batch * cells * width);

const float32 = (objects: readonly Target[]): Target[] =>
  objects.map(({ x1, y1, x2, y2, classId, weight }) => ({
    x1: Math.fround(x1),
    y1: Math.fround(y1),
    x2: Math.fround(x2),
    y2: Math.fround(y2),
    classId,
    weight: Math.fround(weight),
  }));

/** Values that rounding decides are left to either side. */
const CLEAR = 1e-4;

t.test('SimOTA gives every object the cells that the plain one gives it', async (t) => {
  let judged = 0;
  await fc.assert(
    fc.asyncProperty(scenario, async ({ given, values, pictures }) => {
      const batch = pictures.length;
      const objects = pictures.map((picture) => float32(picture.objects));
      const expected = objects.map((list, n) => {
        const size = values.length / batch;
        return simOta(given, values.subarray(n * size, (n + 1) * size), list);
      });
      if (expected.some(({ margin }) => margin < CLEAR)) return;
      judged += 1;
      const { model, output, cells, width } = headOnly(given, batch);
      const { graph } = model;
      const ops = new Ops(graph);
      const spec = yoloxSpec(specOf(given));
      const rows = rowsOf(graph, ops, [output], spec, batch);
      const targets = graph.addInput('targets', 'float32', [batch, OBJECTS, 6]);
      const oneHot = ops.mask(
        ops.compare(
          'Equal',
          columns(ops, targets, 4, 5),
          ops.floats(
            [1, 1, given.classes],
            Array.from({ length: given.classes }, (_, i) => i),
          ),
        ),
      );
      const found = assign(ops, rows, rows.values, targets, oneHot);
      for (const value of [found.cells, found.taken, found.overlap]) graph.addOutput(value);
      const feeds = targetFeeds(
        objects.map((list) => ({ objects: list, ignored: [] })),
        spec,
        OBJECTS,
      );
      const results = await withSession(writeModel(model), {}, (session) =>
        session.run({
          x: floatTensor([batch, width, cells], channelsFirst(values, batch, cells, width)),
          targets: feeds['targets'] as never,
        }),
      );
      const [cell, taken, overlap] = [found.cells, found.taken, found.overlap].map(
        ({ name }) => results[name]?.data ?? [],
      );
      const matches: Match[][] = objects.map(() => []);
      for (let i = 0; i < (taken?.length ?? 0); i += 1) {
        if (Number(taken?.[i]) !== 1) continue;
        const n = Math.floor(i / (OBJECTS * found.slots));
        const object = Math.floor(i / found.slots) % OBJECTS;
        matches[n]?.push({ cell: Number(cell?.[i]), object, iou: Number(overlap?.[i]) });
      }
      const order = (list: readonly Match[]): string[] =>
        list.map((match) => `${match.cell} ${match.object} ${match.iou.toFixed(3)}`).sort();
      matches.forEach((list, n) => {
        if (order(list).join() !== order(expected[n]?.matches ?? []).join()) {
          throw new Error(`${order(list).join('; ')} is not ${order(expected[n]?.matches ?? []).join('; ')}`);
        }
      });
    }),
    { numRuns: 60 },
  );
  t.ok(judged >= 40, `${judged} of 60 cases are clear`);
});

t.test('loss and gradient are those of the plain one', async (t) => {
  let judged = 0;
  await fc.assert(
    fc.asyncProperty(
      scenario,
      fc.constantFrom('iou' as const, 'giou' as const),
      fc.boolean(),
      async ({ given, values, pictures }, box, hasWeights) => {
        const batch = pictures.length;
        const size = values.length / batch;
        const assigned = pictures.map((picture, n) => {
          const objects = float32(picture.objects);
          return { objects, ...simOta(given, values.subarray(n * size, (n + 1) * size), objects) };
        });
        if (assigned.some(({ margin }) => margin < CLEAR)) return;
        judged += 1;
        const { model, output, cells, width } = headOnly(given, batch);
        const spec = yoloxSpec(specOf(given));
        const classWeights = hasWeights
          ? Float32Array.from({ length: given.classes ** 2 }, (_, i) => 1 + (i % 3))
          : undefined;
        const { graph } = model;
        const { loss, parts, fixed } = detectionLoss({
          detector: specOf(given),
          objects: OBJECTS,
          box,
          ...(classWeights !== undefined && { classWeights }),
        })({ graph, ops: new Ops(graph), outputs: [output], batch });
        for (const value of [loss, ...Object.values(parts)]) graph.addOutput(value);
        const made = gradient(model, {
          loss: loss.name,
          of: ['x'],
          fixed: (fixed ?? []).map(({ name }) => name),
        });
        const ignored = { x1: 0, y1: 0, x2: given.width / 2, y2: given.height / 3 };
        const results = await withSession(writeModel(made.model), { ...GRADIENT_SESSION }, (session) =>
          session.run({
            x: floatTensor([batch, width, cells], channelsFirst(values, batch, cells, width)),
            ...targetFeeds(
              assigned.map(({ objects }) => ({ objects, ignored: [ignored] })),
              spec,
              OBJECTS,
            ),
          }),
        );
        const all = cellsOf(given);
        const attention = (_: number, index: number): number => {
          const cell = all[index];
          if (cell === undefined) throw new Error('no such cell');
          const [x, y] = [(cell.column + 0.5) * cell.stride, (cell.row + 0.5) * cell.stride];
          return x >= ignored.x1 && x < ignored.x2 && y >= ignored.y1 && y < ignored.y2 ? 0 : 1;
        };
        const judge = (at: ArrayLike<number>) =>
          lossOf(given, at, assigned, {
            box,
            attention,
            ...(classWeights !== undefined && { classWeights }),
          });
        const expected = judge(values);
        const said = (name: string): number => Number(results[name]?.data[0]);
        const close = (a: number, b: number, what: string): void => {
          if (!(Math.abs(a - b) <= 1e-4 * Math.max(1, Math.abs(b))))
            throw new Error(`${what}: ${a} is not ${b}`);
        };
        close(said(loss.name), expected.loss, 'loss');
        for (const name of ['box', 'objectness', 'class', 'positives'] as const) {
          close(said(parts[name]?.name ?? ''), expected[name], name);
        }
        const slope = results[made.gradients.get('x') ?? '']?.data ?? [];
        // Central differences at every row that answers for an object, and at a few that do not.
        const rows = [
          ...assigned.flatMap(({ matches }, n) => matches.map(({ cell }) => n * cells + cell)),
          0,
          batch * cells - 1,
        ];
        const point = Float64Array.from(values);
        for (const row of rows) {
          for (let column = 0; column < width; column += 1) {
            const at = row * width + column;
            const here = point[at] ?? 0;
            point[at] = here + 1e-5;
            const above = judge(point).loss;
            point[at] = here - 1e-5;
            const below = judge(point).loss;
            point[at] = here;
            const [n, cell] = [Math.floor(row / cells), row % cells];
            close(
              Number(slope[(n * width + column) * cells + cell]),
              (above - below) / 2e-5,
              `gradient of column ${column}`,
            );
          }
        }
      },
    ),
    { numRuns: 40 },
  );
  t.ok(judged >= 25, `${judged} of 40 cases are clear`);
});

t.test('a head of another type is refused', (t) => {
  const detector: DetectorSpec = {
    ...specOf({ strides: [8], width: 32, height: 32, classes: 2 }),
    head: { type: 'end-to-end', output: 'output' },
  };
  t.throws(() => detectionLoss({ detector, objects: 4 }), { code: 'UNSUPPORTED' });
  t.end();
});
