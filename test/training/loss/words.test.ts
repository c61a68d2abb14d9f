// Somebody's word beside a teacher's: where the named object is seen its class is put right, everywhere else nothing changes.
import fc from 'fast-check';
import t from 'tap';
import { makeGrid } from '../../../src/vision/index.js';
import { NOTHING } from '../../../src/training/loss/targets.js';
import { putRight } from '../../../src/training/loss/words.js';
import { noise } from '../../onnx/bits.js';

const CLASSES = ['a', 'b', 'c'];
const [SIDE, WIDTH] = [32, 5 + CLASSES.length];
const STRIDES = [8, 16];
const grid = makeGrid(SIDE, SIDE, STRIDES);
const spec = (boxes: 'raw' | 'decoded') => ({
  input: {
    name: 'x',
    width: SIDE,
    height: SIDE,
    colourOrder: 'rgb' as const,
    mean: [0, 0, 0] as [number, number, number],
    scale: [1, 1, 1] as [number, number, number],
    letterbox: 'top-left' as const,
    pad: 114,
  },
  head: { type: 'yolox' as const, output: 'output', boxes, strides: STRIDES },
  classes: CLASSES,
});

/** What a teacher says of one picture: everywhere nothing, and a box [x1, y1, x2, y2] of class `said` at one cell. */
const answer = (boxes: 'raw' | 'decoded', cell: number, objectness: number, said: number): Float32Array => {
  const answers = Float32Array.from(noise(grid.cells * WIDTH, 7), (value, i) =>
    i % WIDTH < 4 ? 0 : Math.abs(value) / 1e3,
  );
  const [column = 0, row = 0, stride = 0] = [grid.column[cell], grid.row[cell], grid.stride[cell]];
  const [x, y, w, h] = [(column + 0.5) * stride, (row + 0.5) * stride, 10, 6];
  const box = boxes === 'decoded' ? [x, y, w, h] : [0.5, 0.5, Math.log(w / stride), Math.log(h / stride)];
  answers.set([...box, objectness, 0.1, 0.1, 0.1], cell * WIDTH);
  answers[cell * WIDTH + 5 + said] = 0.6;
  return answers;
};

t.test('cells that see the named object say its class, and count more', async () => {
  fc.assert(
    fc.property(
      fc.constantFrom('raw' as const, 'decoded' as const),
      fc.nat({ max: grid.cells - 1 }),
      fc.nat({ max: 2 }),
      fc.nat({ max: 2 }),
      fc.boolean(),
      fc.boolean(),
      (boxes, cell, said, named, isSeen, isNear) => {
        const answers = answer(boxes, cell, isSeen ? 0.7 : 0.01, said);
        const before = answers.slice();
        const x = ((grid.column[cell] ?? 0) + 0.5) * (grid.stride[cell] ?? 0) + (isNear ? 1 : 9);
        const y = ((grid.row[cell] ?? 0) + 0.5) * (grid.stride[cell] ?? 0);
        // Two rows: the second one is no object.
        const targets = Float32Array.of(x - 5, y - 3, x + 5, y + 3, named, 1, 0, 0, SIDE, SIDE, 0, 0);
        const weights = putRight(answers, targets, spec(boxes), 20);
        const at = cell * WIDTH;
        const isRight = isSeen && isNear;
        return (
          weights.every((weight, i) => weight === (isRight && i === cell ? 20 : 1)) &&
          answers.every((value, i) =>
            isRight && i >= at + 5 && i < at + WIDTH
              ? value === (i === at + 5 + named ? 1 : 0)
              : value === before[i],
          )
        );
      },
    ),
  );
});

t.test('where nothing is, nothing is seen, and all else stays', async (t) => {
  const answers = answer('raw', 3, 0.9, 0);
  const before = answers.slice();
  const [x, y] = [3.5 * 8, 0.5 * 8];
  const targets = Float32Array.of(x - 5, y - 3, x + 5, y + 3, NOTHING, 1);
  const weights = putRight(answers, targets, spec('raw'), 5);
  t.ok(weights.every((weight) => weight === 1));
  const changed = [...answers.keys()].filter((at) => answers[at] !== before[at]);
  t.same(changed, [3 * WIDTH + 4], 'objectness of the cell that saw it');
  t.equal(answers[3 * WIDTH + 4], 0);
});

t.test('each picture of a batch has its own names', async (t) => {
  const one = answer('raw', 3, 0.9, 0);
  const answers = Float32Array.from([...one, ...one]);
  const [x, y] = [3.5 * 8, 0.5 * 8];
  const targets = new Float32Array(2 * 6);
  targets.set([x - 5, y - 3, x + 5, y + 3, 2, 1], 6);
  const weights = putRight(answers, targets, spec('raw'), 5);
  t.same(answers.slice(0, one.length), one, 'nothing was named in the first');
  t.same(
    [...weights.entries()].filter(([, weight]) => weight !== 1),
    [[grid.cells + 3, 5]],
  );
  t.same([...answers.subarray((grid.cells + 3) * WIDTH + 5, (grid.cells + 4) * WIDTH)], [0, 0, 1]);
});
