// Augmentation: without any an input is what the detector sees; with it, boxes stay around what they stood around.
import fc from 'fast-check';
import t, { type Test } from 'tap';
import type { InputSpec } from '../../../src/registry/index.js';
import { Random } from '../../../src/system/index.js';
import {
  type Augmentation,
  NO_AUGMENTATION,
  SCRATCH_AUGMENTATION,
  targetFeeds,
} from '../../../src/training/index.js';
import { compose, partsOf } from '../../../src/training/data/augment.js';
import { colourMatrix } from '../../../src/training/data/colour.js';
import { Order } from '../../../src/training/data/order.js';
import type { Sample } from '../../../src/training/data/sample.js';
import { levelsOf, type YoloxSpec } from '../../../src/training/loss/cells.js';
import { Preprocessor } from '../../../src/vision/index.js';

const inputOf = (width: number, height: number, more: Partial<InputSpec> = {}): InputSpec => ({
  name: 'x',
  width,
  height,
  colourOrder: 'rgb',
  mean: [0, 0, 0],
  scale: [1, 1, 1],
  letterbox: 'top-left',
  pad: 114,
  ...more,
});

t.test('without augmentation an input is what the detector makes of the picture', (t) => {
  fc.assert(
    fc.property(
      fc.record(
        {
          width: fc.integer({ min: 2, max: 90 }),
          height: fc.integer({ min: 2, max: 90 }),
          letterbox: fc.constantFrom('top-left' as const, 'centre' as const, 'stretch' as const),
          colourOrder: fc.constantFrom('rgb' as const, 'bgr' as const),
          seed: fc.integer({ min: 0, max: 1e9 }),
        },
        { noNullPrototype: true },
      ),
      ({ width, height, letterbox, colourOrder, seed }) => {
        const input = inputOf(64, 48, {
          letterbox,
          colourOrder,
          mean: [10, 20, 30],
          scale: [1 / 50, 1 / 60, 1 / 70],
        });
        // Smooth, as pictures are: what is shrunk to less than half is averaged here, and is not there.
        const [a, b] = [(seed % 7) + 1, (seed % 5) + 1];
        const data = Uint8Array.from({ length: 3 * width * height }, (_, i) => {
          const [x, y] = [Math.floor(i / 3) % width, Math.floor(i / 3 / width)];
          return 128 + 100 * Math.sin((a * x) / width + (b * y) / height + (i % 3));
        });
        const image = { format: 'rgb24' as const, width, height, data };
        const tensor = new Float32Array(3 * 64 * 48);
        compose([{ image, objects: [], ignored: [] }], input, NO_AUGMENTATION, new Random(1), tensor);
        const expected = new Float32Array(tensor.length);
        new Preprocessor({ simd: false }).preprocess(image, input, expected);
        const isShrunk = Math.min(width / 64, height / 48) > 2 || width > 128 || height > 96;
        const most = isShrunk ? 12 : 1.01;
        tensor.forEach((value, i) => {
          const plane = Math.floor(i / (64 * 48));
          const levels = Math.abs(value - (expected[i] ?? 0)) / (input.scale[plane] ?? 1);
          if (levels > most) throw new Error(`value ${i} is ${levels} levels off`);
        });
      },
    ),
    { numRuns: 60 },
  );
  t.end();
});

/** A grey picture with a red rectangle. */
const marked = (
  width: number,
  height: number,
  box: { x1: number; y1: number; x2: number; y2: number },
): Sample => {
  const data = new Uint8Array(3 * width * height).fill(90);
  for (let y = box.y1; y < box.y2; y += 1) {
    for (let x = box.x1; x < box.x2; x += 1) data.set([250, 0, 0], 3 * (y * width + x));
  }
  return {
    image: { format: 'rgb24', width, height, data },
    objects: [{ ...box, classId: 2, weight: 1 }],
    ignored: [],
  };
};

/** Boxes stay around what they stood around. */
const keepsBoxes = (t: Test, more: Partial<Augmentation>): void => {
  const input = inputOf(160, 96);
  const options = { ...SCRATCH_AUGMENTATION, hue: 0, saturation: 0, brightness: 0, ...more };
  let [seen, mosaics] = [0, 0];
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 2 ** 31 }), (seed) => {
      const random = new Random(seed, 9);
      const parts = partsOf(options, random);
      mosaics += parts === 4 ? 1 : 0;
      const at = random.below(parts);
      const samples = Array.from({ length: parts }, (_, i) => {
        const [width, height] = [100 + random.below(150), 100 + random.below(150)];
        const [x1, y1] = [random.below(50), random.below(50)];
        const box = { x1, y1, x2: x1 + 20 + random.below(30), y2: y1 + 20 + random.below(30) };
        const sample = marked(width, height, box);
        return i === at
          ? sample
          : { ...sample, image: { ...sample.image, data: sample.image.data.map(() => 90) }, objects: [] };
      });
      const tensor = new Float32Array(3 * 160 * 96);
      const { objects, ignored } = compose(samples, input, options, random, tensor);
      let [x1, y1, x2, y2] = [1e9, 1e9, -1, -1];
      for (let i = 0; i < 160 * 96; i += 1) {
        const isRed = (tensor[i] ?? 0) > 170 && (tensor[160 * 96 + i] ?? 0) < 45;
        if (!isRed) continue;
        const [x, y] = [i % 160, Math.floor(i / 160)];
        [x1, y1, x2, y2] = [Math.min(x1, x), Math.min(y1, y), Math.max(x2, x + 1), Math.max(y2, y + 1)];
      }
      const [object] = objects;
      if (object === undefined) {
        // Not seen, or hardly: then what is seen is ignored.
        const hidden = ignored[0];
        const isCovered = x2 < 0 || (hidden !== undefined && hidden.x1 <= x1 + 1.5 && hidden.x2 >= x2 - 1.5);
        if (!isCovered) throw new Error('what is seen is neither an object nor ignored');
        return;
      }
      seen += 1;
      const off = Math.max(...[object.x1 - x1, object.y1 - y1, object.x2 - x2, object.y2 - y2].map(Math.abs));
      if (off > 1.5) throw new Error(`the box is ${off} pixels off`);
      if (object.classId !== 2) throw new Error('the class changed');
    }),
    { numRuns: 80 },
  );
  t.ok(seen > 20, `${seen} of 80 were seen`);
  t.ok(mosaics > 20, `${mosaics} of 80 were mosaics`);
  t.end();
};

t.test('boxes stay around what they stood around', (t) => keepsBoxes(t, {}));

t.test('in mosaics of tiles too', (t) => keepsBoxes(t, { tiles: true }));

t.test('in parts of single pictures too', (t) =>
  keepsBoxes(t, { tiles: true, crops: true, mosaic: 0.5, scale: [0.9, 1.8] }),
);

t.test('of an object that is cut, as much must be left as was asked for', (t) => {
  const input = inputOf(100, 60);
  const options = { ...NO_AUGMENTATION, crops: true, scale: [2, 2] as const };
  const box = { x1: 0, y1: 0, x2: 200, y2: 120 };
  const sample = marked(200, 120, box);
  const learnt = (leastShare: number): number =>
    compose([sample], input, { ...options, leastShare }, new Random(3, 1), new Float32Array(3 * 100 * 60))
      .objects.length;
  // A quarter of the only object is in the picture.
  t.equal(learnt(0.24), 1);
  t.equal(learnt(0.26), 0);
  t.end();
});

t.test('every tile is filled, and shows an object of its picture', (t) => {
  const input = inputOf(160, 96);
  const options = { ...SCRATCH_AUGMENTATION, tiles: true, mosaic: 1, scale: [1, 1] as const, brightness: 0 };
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 2 ** 31 }), (seed) => {
      const random = new Random(seed, 10);
      const samples = [0, 1, 2, 3].map((classId): Sample => {
        const [x1, y1] = [random.below(130), random.below(80)];
        const sample = marked(160, 96, { x1, y1, x2: x1 + 12, y2: y1 + 10 });
        return { ...sample, objects: sample.objects.map((object) => ({ ...object, classId })) };
      });
      const tensor = new Float32Array(3 * 160 * 96);
      const { objects } = compose(samples, input, options, random, tensor);
      if (tensor.some((value) => value === input.pad)) throw new Error('padding is seen');
      const found = objects.map(({ classId }) => classId);
      if (found.join() !== '0,1,2,3') throw new Error(`objects of ${found.join()} are seen`);
    }),
    { numRuns: 60 },
  );
  t.end();
});

t.test('changes of colour leave greys grey, and none changes nothing', (t) => {
  const none = colourMatrix({ hue: 0, saturation: 1, brightness: 1 });
  [1, 0, 0, 0, 1, 0, 0, 0, 1].forEach((value, i) => t.ok(Math.abs((none[i] ?? NaN) - value) < 1e-9));
  const turned = colourMatrix({ hue: 40, saturation: 1.5, brightness: 0.8 });
  for (const row of [0, 3, 6]) {
    const sum = (turned[row] ?? NaN) + (turned[row + 1] ?? NaN) + (turned[row + 2] ?? NaN);
    t.ok(Math.abs(sum - 0.8) < 1e-3, 'a grey is scaled by the brightness alone');
  }
  t.end();
});

t.test('every picture is seen once an epoch, in another order each time', (t) => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 50 }), fc.integer({ min: 0, max: 1e9 }), (count, seed) => {
      const order = new Order(count, seed);
      const epochs = [0, 1].map((epoch) =>
        Array.from({ length: count }, (_, i) => order.at(epoch * count + i)),
      );
      for (const epoch of epochs) {
        if (new Set(epoch).size !== count) throw new Error('a picture came twice');
      }
      const again = new Order(count, seed);
      if (again.at(2 * count - 1) !== epochs[1]?.at(-1))
        throw new Error('the order depends on what was asked before');
      if (count > 20 && epochs[0]?.join() === epochs[1]?.join())
        throw new Error('both epochs have one order');
    }),
  );
  t.end();
});

t.test('targets: ignored cells have no attention, and the largest objects are kept', (t) => {
  const spec = {
    input: inputOf(64, 32),
    head: { type: 'yolox', output: 'y', boxes: 'raw', strides: [8, 16] },
    classes: ['a', 'b'],
  } satisfies YoloxSpec;
  const object = (size: number) => ({ x1: 0, y1: 0, x2: size, y2: size, classId: 1, weight: 1 });
  const ignored = { x1: 10, y1: 4, x2: 30, y2: 20 };
  const feeds = targetFeeds([{ objects: [object(4), object(30), object(9)], ignored: [ignored] }], spec, 2);
  t.same([...(feeds['targets']?.data ?? [])], [0, 0, 30, 30, 1, 1, 0, 0, 9, 9, 1, 1]);
  const attention = feeds['targets.attention']?.data ?? [];
  for (const { stride, columns, rows, first } of levelsOf(spec)) {
    for (let i = 0; i < columns * rows; i += 1) {
      const [x, y] = [((i % columns) + 0.5) * stride, (Math.floor(i / columns) + 0.5) * stride];
      const isInside = x >= 10 && x < 30 && y >= 4 && y < 20;
      t.equal(attention[first + i], isInside ? 0 : 1);
    }
  }
  t.end();
});
