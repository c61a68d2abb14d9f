import t from 'tap';
import type { Observation } from '../../src/tracking/observations.js';
import { ClassTally } from '../../src/tracking/vote.js';

const box = { x1: 0, y1: 0, x2: 10, y2: 10 };
const seen = (
  className: string,
  score: number,
  clarity = 1,
  rivals: Observation['rivals'] = [],
): Observation => ({ detection: 0, box, className, score, clarity, rivals });

t.test('score times clarity, summed by name', async (t) => {
  const tally = new ClassTally();
  tally.add(seen('car', 0.5));
  tally.add(seen('truck', 0.8, 0.5));
  tally.add(seen('car', 0.5));
  tally.add(seen('bus', 0.6));
  t.same(
    tally.result().shares.map(({ className, share }) => [className, Number(share.toFixed(6))]),
    [
      ['car', 0.5],
      ['bus', 0.3],
      ['truck', 0.2],
    ],
  );
  t.equal(tally.result().className, 'car');
  t.equal(Number(tally.result().margin.toFixed(6)), 0.2);
  t.equal(Number(tally.share('bus').toFixed(6)), 0.3);
  t.equal(tally.share('tram'), 0);
});

t.test('many cut frames do not outvote a few clear ones', async (t) => {
  const tally = new ClassTally();
  for (let i = 0; i < 10; i++) tally.add(seen('truck', 0.6, 0.3));
  for (let i = 0; i < 4; i++) tally.add(seen('bus', 0.6, 1));
  t.equal(tally.result().className, 'bus');
});

t.test('rivals vote too', async (t) => {
  const tally = new ClassTally();
  tally.add(seen('car', 0.6, 1, [{ className: 'truck', score: 0.55 }]));
  tally.add(seen('truck', 0.6));
  t.equal(tally.result().className, 'truck');
});

t.test('one class: all of it; ties and scores of nothing are decided by name', async (t) => {
  const one = new ClassTally();
  one.add(seen('car', 0.4));
  t.match(one.result(), { className: 'car', share: 1, margin: 1 });
  const tie = new ClassTally();
  tie.add(seen('truck', 0));
  tie.add(seen('car', 0));
  t.match(tie.result(), { className: 'car', share: 0.5, margin: 0 });
});
