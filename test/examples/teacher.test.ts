import t from 'tap';
import { hearTeacher, type Look } from '../../src/examples/index.js';
import { MODEL } from './parts.js';

const box = (at: number) => ({ x1: at, y1: 0, x2: at + 50, y2: 40 });
const serving: Look = {
  model: MODEL,
  classes: ['car', 'truck', 'bus'],
  detections: [
    { ...box(0), classId: 0, score: 0.9 },
    { ...box(100), classId: 0, score: 0.6 },
    { ...box(200), classId: 2, score: 0.5 },
    { ...box(500), classId: 1, score: 0.2 },
  ],
};
const teacher: Look = {
  model: 'b'.repeat(64),
  // The same classes in another order and spelling.
  classes: ['Truck', 'Car', 'Bus'],
  detections: [
    { ...box(2), classId: 1, score: 0.95 },
    { ...box(102), classId: 0, score: 0.8 },
    { ...box(300), classId: 2, score: 0.7 },
    { ...box(400), classId: 2, score: 0.3 },
  ],
};

t.test('a teacher agrees, contradicts, misses and sees more; what it is unsure of is no word', async (t) => {
  const word = hearTeacher(serving, teacher, { takenMs: 9, frame: 'boot-f3' });
  t.same(
    word.observations
      .map(({ predicted, presumed, weight }) => [predicted, presumed, weight])
      .sort((a, b) => Number(b[2]) - Number(a[2])),
    [
      ['car', 'Car', 0.95],
      ['car', 'Truck', 0.8],
      [null, 'Bus', 0.7],
      ['bus', null, 0.5],
    ],
  );
  t.same([word.both, word.agreed], [2, 1]);
  t.equal(new Set(word.observations.map(({ about }) => about)).size, 4);
  t.match(word.candidates, [
    {
      presumed: { className: 'Truck', source: 'teacher', confidence: 0.8 },
      candidate: {
        reason: 'teacher',
        takenMs: 9,
        object: { className: 'car', score: 0.6 },
        others: { length: 3 },
      },
    },
  ]);
});
