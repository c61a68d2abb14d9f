// Candidates within one budget: the whole model with the least damage is kept, whatever sums over layers say.
import fc from 'fast-check';
import t from 'tap';
import type { ObjectiveName } from '../../src/allocation/index.js';
import { BitlaneError } from '../../src/errors.js';
import {
  type CandidateScore,
  chooseCandidate,
  objectivesOf,
  picturesBeside,
  splitTuning,
  wholeDamage,
} from '../../src/adaptation/portfolio.js';
import type { Allocated } from '../../src/adaptation/documents.js';
import type { DataSet } from '../../src/evaluation/index.js';

const prices = () => ({ divergence: 1, objectness: 2, box: 3, others: 4 });
const effects = (divergence: number) => ({ divergence, objectness: 1, box: 0, others: 0 });
const allocated = (bits: 2 | 4 | 8): Allocated => ({
  allocation: {
    format: 'bitlane-allocation',
    version: 1,
    components: { a: { bits, execution: 'fp32' } },
  },
  damage: 1,
  bound: 1,
  gap: 0,
  usage: {},
  measured: {},
  rounds: 1,
});
const allocations: Partial<Record<ObjectiveName, Allocated>> = {
  semantic: allocated(2),
  taskAgnostic: allocated(4),
  uniform: allocated(8),
};
const allocate = (name: ObjectiveName): Promise<Allocated> => {
  const found = allocations[name] ?? (name === 'outputError' ? allocated(4) : undefined);
  if (found === undefined) return Promise.reject(new BitlaneError('BAD_USAGE', 'no room'));
  return Promise.resolve(found);
};

t.test('the least damage of the whole is kept, each allocation measured once', async (t) => {
  const measured: ObjectiveName[] = [];
  const chosen = await chooseCandidate({
    objectives: ['semantic', 'taskAgnostic', 'outputError', 'relativeWeightError', 'uniform'],
    allocate,
    measure: (name) => {
      measured.push(name);
      return Promise.resolve(effects({ semantic: 3, taskAgnostic: 1, uniform: 2 }[name as 'semantic']));
    },
    prices: () => prices,
  });
  t.same(measured, ['semantic', 'taskAgnostic', 'uniform']);
  t.equal(chosen.objective, 'taskAgnostic');
  t.equal(chosen.allocated, allocations.taskAgnostic);
  const by = new Map(chosen.scores.map((score): [string, CandidateScore] => [score.objective, score]));
  t.match(by.get('taskAgnostic'), { damage: 2 ** 0.25, isChosen: true });
  t.match(by.get('outputError'), { damage: null, sameAs: 'taskAgnostic', isChosen: false });
  t.match(by.get('relativeWeightError'), { damage: null, effects: null, isChosen: false });
});

t.test('one that stands alone is not measured; the asked one must fit', async (t) => {
  const measure = () => Promise.reject(new Error('measured'));
  const one = await chooseCandidate({
    objectives: ['semantic', 'relativeWeightError'],
    allocate,
    measure,
    prices: () => prices,
  });
  t.equal(one.objective, 'semantic');
  await t.rejects(
    chooseCandidate({
      objectives: ['relativeWeightError', 'semantic'],
      allocate,
      measure,
      prices: () => prices,
    }),
    {
      code: 'BAD_USAGE',
    },
  );
  const broken = new BitlaneError('BAD_MODEL', 'broken');
  await t.rejects(
    chooseCandidate({
      objectives: ['semantic', 'uniform'],
      allocate: (name) => (name === 'uniform' ? Promise.reject(broken) : allocate(name)),
      measure,
      prices: () => prices,
    }),
    broken,
  );
});

t.test('equal damage leaves the asked one', async (t) => {
  const { objective } = await chooseCandidate({
    objectives: ['uniform', 'semantic'],
    allocate,
    measure: () => Promise.resolve(effects(1)),
    prices: () => prices,
  });
  t.equal(objective, 'uniform');
});

t.test('damage of a whole: more of anything is worse, divergence weighs more, units do not matter', (t) => {
  const value = fc.double({ min: 1e-6, max: 1e3, noNaN: true });
  const given = fc.record({ divergence: value, objectness: value, box: value, others: value });
  const grown = fc.constantFrom('divergence', 'objectness', 'box', 'others');
  fc.assert(
    fc.property(given, given, grown, (a, b, which) => {
      const of = (each: typeof a): number => wholeDamage(prices, each);
      const more = of({ ...a, [which]: 2 * a[which] });
      const critical = of({ ...a, divergence: 2 * a.divergence });
      const scaled = (each: typeof a) => of({ ...each, divergence: 7 * each.divergence }) / of(each);
      return more > of(a) && more <= critical && Math.abs(scaled(a) - scaled(b)) < 1e-9;
    }),
  );
  const none = { divergence: Number.NaN, objectness: 1, box: 1, others: 1 };
  t.equal(wholeDamage(prices, none), 9, 'guards alone where there is no critical object');
  t.end();
});

t.test('what is tried', (t) => {
  t.same(objectivesOf('semantic'), [
    'semantic',
    'semanticGuarded',
    'semanticLean',
    'taskAgnostic',
    'relativeWeightError',
    'uniform',
  ]);
  t.same(objectivesOf('uniform'), ['uniform']);
  t.same(objectivesOf('uniform', ['semantic', 'uniform']), ['uniform', 'semantic']);
  t.end();
});

const pictures = (count: number): DataSet => ({
  name: 'd',
  path: 'd',
  split: 'train',
  classes: [],
  notes: [],
  images: Array.from({ length: count }, (_, index) => ({ id: `${index}`, path: `${index}` })),
  load: (index) => Promise.reject(new Error(`read ${index}`)),
});

t.test('pictures: none of those compared on is in the map where there are enough', (t) => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 1_000 }), (count) => {
      const { map, compared, isHeldOut } = splitTuning(pictures(count));
      const used = new Set(map.images.map(({ id }) => id));
      const own = compared.images.map(({ id }) => id);
      return (
        own.length >= Math.min(count, 40) &&
        own.length <= 150 &&
        new Set(own).size === own.length &&
        isHeldOut === count >= 160 &&
        (isHeldOut
          ? own.every((id) => !used.has(id)) && used.size + own.length === count
          : used.size === count)
      );
    }),
  );
  t.end();
});

t.test('pictures beside a given map: those behind its own where there are enough of them', async (t) => {
  const mapOf = (name: string, split: string, count: number) => ({
    data: { name, split, pictures: count, fingerprint: '0'.repeat(64) },
  });
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 600 }), fc.nat({ max: 600 }), (count, seen) => {
      const { compared, isHeldOut } = picturesBeside(pictures(count), mapOf('d', 'train', seen));
      const own = compared.images.map(({ id }) => Number(id));
      return (
        own.length > 0 &&
        own.length <= 150 &&
        new Set(own).size === own.length &&
        isHeldOut === count - seen >= 40 &&
        (!isHeldOut || own.every((id) => id >= seen))
      );
    }),
  );
  for (const map of [mapOf('other', 'train', 9), mapOf('d', 'val', 9)]) {
    const { compared, isHeldOut } = picturesBeside(pictures(9), map);
    t.equal(compared.images.length, 9, 'all, where the map is of others');
    t.equal(isHeldOut, true);
  }
  const { compared } = picturesBeside(pictures(200), mapOf('d', 'train', 150));
  await t.rejects(compared.load(0), /read 150/, 'labels stay with their pictures');
});
