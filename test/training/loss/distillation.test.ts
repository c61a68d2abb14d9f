// The loss against a teacher: nothing where both agree, and a slope towards the teacher where they do not.
import t from 'tap';
import { gradient, GRADIENT_SESSION, Ops } from '../../../src/autodiff/index.js';
import { writeModel } from '../../../src/onnx/index.js';
import type { DetectorSpec } from '../../../src/registry/index.js';
import { floatTensor, withSession } from '../../../src/runtime/index.js';
import { criticalClassWeights, distillationLoss, sumOfLosses } from '../../../src/training/index.js';
import { noise } from '../../onnx/bits.js';
import { Net } from '../../onnx/net.js';

const CLASSES = 3;
const CELLS = 16 + 4;
const WIDTH = 5 + CLASSES;

const detector: DetectorSpec = {
  input: {
    name: 'x',
    width: 32,
    height: 32,
    colourOrder: 'rgb',
    mean: [0, 0, 0],
    scale: [1, 1, 1],
    letterbox: 'top-left',
    pad: 114,
  },
  head: { type: 'yolox', output: 'output', boxes: 'raw', strides: [8, 16] },
  classes: ['a', 'b', 'c'],
};

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));

/** Loss and gradient of logits against a teacher with others. */
const judge = async (student: Float32Array, teacher: Float32Array, weights?: Float32Array) => {
  const net = new Net(18);
  const x = net.input('x', [1, CELLS, WIDTH]);
  const cut = (from: number, to: number) => net.op('Slice', [x, [from], [to], [2]]);
  const output = net.op('Concat', [cut(0, 4), net.op('Sigmoid', [cut(4, WIDTH)])], { axis: 2 });
  net.graph.rename(output, 'output');
  output.shape = [1, CELLS, WIDTH];
  const model = net.model(output);
  const { graph } = model;
  const build = sumOfLosses([
    { build: distillationLoss({ detector, least: 0, weighted: weights !== undefined }), weight: 1 },
  ]);
  const { loss, parts } = build({ graph, ops: new Ops(graph), outputs: [output], batch: 1 });
  for (const value of Object.values(parts)) graph.addOutput(value);
  const made = gradient(model, { loss: loss.name, of: ['x'] });
  const answers = teacher.map((value, i) => (i % WIDTH < 4 ? value : sigmoid(value)));
  const results = await withSession(writeModel(made.model), { ...GRADIENT_SESSION }, (session) =>
    session.run({
      x: floatTensor([1, CELLS, WIDTH], student),
      teacher: floatTensor([1, CELLS, WIDTH], answers),
      ...(weights !== undefined && { 'teacher.weight': floatTensor([1, CELLS], weights) }),
    }),
  );
  return {
    loss: Number(results[loss.name]?.data[0]),
    slope: Float32Array.from(results[made.gradients.get('x') ?? '']?.data as Float32Array),
  };
};

t.test('a student that says what its teacher says loses nothing', async (t) => {
  const said = noise(CELLS * WIDTH, 3);
  const { loss, slope } = await judge(said, said);
  t.ok(Math.abs(loss) < 1e-4, `the loss is ${loss}`);
  const scores = slope.filter((_, i) => i % WIDTH >= 4);
  t.ok(Math.max(...scores.map(Math.abs)) < 1e-5, 'scores have no slope');
});

t.test('a step down the slope comes nearer to the teacher', async (t) => {
  const [student, teacher] = [noise(CELLS * WIDTH, 4), noise(CELLS * WIDTH, 5)];
  const { loss, slope } = await judge(student, teacher);
  t.ok(loss > 0.1);
  const moved = student.map((value, i) => value - 0.05 * (slope[i] ?? 0));
  t.ok((await judge(moved, teacher)).loss < loss);
  // Scores: the slope is the difference of probabilities, times one weight a cell.
  for (let cell = 0; cell < CELLS; cell += 1) {
    const at = cell * WIDTH + 4;
    const apart = sigmoid(student[at] ?? 0) - sigmoid(teacher[at] ?? 0);
    t.ok((slope[at] ?? 0) * apart > 0, 'objectness goes where the teacher is');
  }
});

t.test(
  'a cell whose class counts more has a steeper slope of its classes, and of nothing else',
  async (t) => {
    const [student, teacher] = [noise(CELLS * WIDTH, 4), noise(CELLS * WIDTH, 5)];
    const weights = Float32Array.from({ length: CELLS }, (_, cell) => (cell % 3 === 0 ? 6 : 1));
    const plain = await judge(student, teacher);
    const ones = await judge(student, teacher, new Float32Array(CELLS).fill(1));
    t.same(ones, plain, 'ones change nothing');
    const { slope } = await judge(student, teacher, weights);
    slope.forEach((value, i) => {
      const isClass = i % WIDTH >= 5;
      const expected = (plain.slope[i] ?? 0) * (isClass ? (weights[Math.floor(i / WIDTH)] ?? 1) : 1);
      if (Math.abs(value - expected) > 1e-5 * Math.max(1, Math.abs(expected)))
        t.equal(value, expected, `at ${i}`);
    });
  },
);

t.test('critical pairs count more, in both directions', (t) => {
  t.strictSame([...criticalClassWeights(3, [[0, 2]], 4)], [4, 1, 4, 1, 1, 1, 4, 1, 4]);
  t.end();
});
