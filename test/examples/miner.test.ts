import t from 'tap';
import { type EndedTrack, Miner, pairOf, type SeenFrame } from '../../src/examples/index.js';
import { MODEL, rules } from './parts.js';

const CLASSES = ['car', 'truck', 'bus'];

interface Sight {
  readonly classId?: number;
  readonly score?: number;
  readonly rival?: { readonly classId: number; readonly score: number };
  readonly box?: readonly [number, number, number, number];
}

/** Shows a miner one vehicle, frame after frame; the vote so far is what a tracker would say. */
const drive = (miner: Miner, sights: readonly Sight[], ended: Partial<EndedTrack> = {}) => {
  const wishes = [];
  const votes = new Map<string, number>();
  let name = '';
  for (const [index, { classId = 0, score = 0.9, rival, box = [100, 100, 160, 140] }] of sights.entries()) {
    const className = CLASSES[classId] ?? '';
    votes.set(className, (votes.get(className) ?? 0) + score);
    const total = [...votes.values()].reduce((sum, weight) => sum + weight, 0);
    const [best, weight] = [...votes].sort((a, b) => b[1] - a[1])[0] ?? ['', 0];
    name = best;
    const [x1, y1, x2, y2] = box;
    const frame: SeenFrame = {
      wallMs: 1000 * index,
      width: 640,
      height: 360,
      model: MODEL,
      classes: CLASSES,
      detections: [
        { x1: 400, y1: 100, x2: 450, y2: 150, classId: 2, score: 0.8 },
        { x1, y1, x2, y2, classId, score, ...(rival === undefined ? {} : { rival }) },
      ],
      tracks: [{ id: 5, detection: 1, className: best, share: weight / total, framesSeen: index + 1 }],
    };
    wishes.push(...miner.see(frame));
  }
  const framesSeen = sights.length;
  const track = { id: 5, className: name, share: 0.9, framesSeen, framesLost: 0, lastSeenMs: 77, ...ended };
  return { wishes, harvest: miner.end(track) };
};

const minerOf = (change: Partial<typeof rules> = {}): Miner =>
  new Miner({ ...rules, ...change }, (track) => `boot-${track}`);
const steady = (count: number, sight: Sight = {}): Sight[] => Array.from({ length: count }, () => sight);

t.test('a vehicle that the model is sure of gives no example, but an observation', async (t) => {
  const { wishes, harvest } = drive(minerOf(), steady(20));
  t.same(wishes, []);
  t.match(harvest, { candidates: [], presumed: { className: 'car', source: 'track', confidence: 0.9 } });
  t.same(harvest?.observations, [
    {
      seenMs: 77,
      source: 'track',
      predicted: 'car',
      presumed: 'car',
      weight: 0.9,
      model: MODEL,
      about: 'boot-5',
    },
  ]);
});

t.test('a small margin between the best two classes', async (t) => {
  const rival = { classId: 1, score: 0.85 };
  const { wishes, harvest } = drive(minerOf(), [...steady(5), { rival }, ...steady(14)]);
  t.equal(wishes.length, 1);
  t.match(harvest?.candidates, [
    {
      reason: 'margin',
      rivalName: 'truck',
      takenMs: 5000,
      object: { className: 'car', rival: { className: 'truck', score: 0.85 } },
      others: [{ className: 'bus', score: 0.8 }],
    },
  ]);
  t.same(drive(minerOf({ margin: 0.01 }), [{ rival }]).wishes, []);
  t.same(drive(minerOf({ reasons: ['flip'] }), [{ rival }]).wishes, []);
});

t.test(
  'a harder moment of the same track takes the place of an earlier one, a few times at most',
  async (t) => {
    const of = (gap: number): Sight => ({ rival: { classId: 1, score: 0.9 - gap } });
    const { wishes, harvest } = drive(minerOf(), [
      of(0.14),
      of(0.13),
      of(0.1),
      of(0.05),
      of(0),
      ...steady(10),
    ]);
    t.same(
      wishes.map(({ candidate, instead }) => [candidate.takenMs, instead?.takenMs]),
      [
        [0, undefined],
        [2000, 0],
        [3000, 2000],
      ],
    );
    t.equal(harvest?.candidates.length, 1);
    t.equal(harvest?.candidates[0], wishes.at(-1)?.candidate);
  },
);

t.test('a change of class along the track, and what the majority of a long track says of it', async (t) => {
  const wrong = { classId: 1, score: 0.6 };
  const { wishes, harvest } = drive(minerOf(), [...steady(8), wrong, ...steady(11)]);
  t.same(
    wishes.map(({ candidate }) => [candidate.reason, candidate.object.className, candidate.rivalName]),
    [['flip', 'truck', 'car']],
    'the way out is one, the way back is not',
  );
  t.match(harvest, {
    presumed: { className: 'car' },
    track: {
      key: 'boot-5',
      frames: 20,
      votes: [
        { className: 'car', frames: 19 },
        { className: 'truck', frames: 1 },
      ],
      history: [{ className: 'car' }, { className: 'truck', score: 0.6 }, { className: 'car' }],
    },
  });
  const weights = harvest?.observations.map(({ predicted, presumed, weight }) => [
    predicted,
    presumed,
    weight,
  ]);
  t.same(weights, [
    ['car', 'car', (0.9 * 19) / 20],
    ['truck', 'car', (0.9 * 1) / 20],
  ]);
});

t.test('changes between scores that mean nothing are no examples', async (t) => {
  t.same(drive(minerOf(), [...steady(8), { classId: 1, score: 0.2 }, { score: 0.2 }]).wishes, []);
});

t.test('a short or torn or undecided track presumes nothing', async (t) => {
  for (const [count, ended] of [
    [rules.stableFrames - 1, {}],
    [20, { framesLost: 21 }],
    [20, { share: rules.stableShare - 0.01 }],
  ] as const) {
    const { harvest } = drive(minerOf(), steady(count), ended);
    t.match(harvest, { presumed: null, observations: [] });
  }
});

t.test('a low score on a long, stable track', async (t) => {
  const low = { score: 0.2 };
  const { wishes } = drive(minerOf(), [...steady(13), low, ...steady(3)]);
  t.match(wishes, [{ candidate: { reason: 'uncertain', takenMs: 13_000 } }]);
  t.same(drive(minerOf(), [...steady(5), low]).wishes, [], 'not on a short one');
});

t.test('nobody could tell what is tiny, or cut by the edge of the frame', async (t) => {
  const rival = { classId: 1, score: 0.89 };
  t.same(drive(minerOf(), [{ rival, box: [100, 100, 110, 140] }]).wishes, []);
  t.same(drive(minerOf(), [{ rival, box: [0, 100, 60, 140] }]).wishes, []);
  t.same(drive(minerOf(), [{ rival, box: [500, 100, 640, 140] }]).wishes, []);
});

t.test('of one track two examples at most, what contradicts the majority first', async (t) => {
  const { harvest } = drive(minerOf(), [
    ...steady(13),
    { score: 0.2, rival: { classId: 2, score: 0.19 } },
    {},
    { classId: 1, score: 0.5 },
    ...steady(13),
  ]);
  t.equal(harvest?.candidates.length, 2);
  t.equal(harvest?.left.length, 1);
  t.match(harvest?.candidates[0], { reason: 'flip', object: { className: 'truck' } });
});

t.test('a track that ended is forgotten; one that was never seen is nothing', async (t) => {
  const miner = minerOf();
  drive(miner, steady(3));
  t.equal(
    miner.end({ id: 5, className: 'car', share: 1, framesSeen: 3, framesLost: 0, lastSeenMs: 0 }),
    undefined,
  );
  t.equal(pairOf('truck', 'car'), 'car:truck');
});

t.test('an object that comes twice, as two classes, is one with a rival', async (t) => {
  const miner = minerOf();
  const place = { x1: 100, y1: 100, x2: 160, y2: 140 };
  const [wish] = miner.see({
    wallMs: 0,
    width: 640,
    height: 360,
    model: MODEL,
    classes: CLASSES,
    detections: [
      { ...place, classId: 0, score: 0.6, rival: { classId: 2, score: 0.3 } },
      { ...place, x2: 162, classId: 1, score: 0.55 },
      { x1: 300, y1: 100, x2: 360, y2: 140, classId: 0, score: 0.9 },
    ],
    tracks: [{ id: 1, detection: 0, className: 'car', share: 0.6, framesSeen: 3 }],
  });
  t.match(wish?.candidate, { reason: 'margin', rivalName: 'truck', object: { rival: { score: 0.55 } } });
  t.equal(wish?.candidate.others.length, 1);
});
