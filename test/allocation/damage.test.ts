// Damage models: never negative, never more in more bits; what is noise moves nothing; bad maps are refused.
import fc from 'fast-check';
import t from 'tap';
import {
  objectiveOf,
  OBJECTIVES,
  semanticDamage,
  SEMANTIC_WEIGHTS,
  weightDamage,
} from '../../src/allocation/index.js';
import { nonIncreasing } from '../../src/allocation/damage/damage.js';
import { type SignificanceMap, significanceSchema } from '../../src/significance/index.js';
import { mapOf } from './maps.js';
import { component } from './problems.js';

const size = fc.double({ min: 0, max: 100, noNaN: true });
const measures = fc.record({
  signed: fc.double({ min: -100, max: 100, noNaN: true }),
  divergence: size,
  objectness: size,
  box: size,
  others: size,
  outputError: size,
  weightError: size,
  information: size,
});
const names = ['a', 'b', 'c'];
const components = names.map((name, i) => component(name, 10 * (i + 1)));
const widths = fc.constantFrom(['2', '4', '8'] as const, ['4'] as const, ['2', '4'] as const, ['8'] as const);
const reliability = fc.option(fc.double({ min: -1, max: 1, noNaN: true }), { nil: null });

const maps: fc.Arbitrary<SignificanceMap> = fc
  .tuple(
    fc.array(fc.record({ '2': measures, '4': measures, '8': measures, activations: fc.option(measures) }), {
      minLength: 3,
      maxLength: 3,
    }),
    widths,
    reliability,
  )
  .map(([entries, kept, trust]) =>
    mapOf(
      Object.fromEntries(
        entries.map((entry, i) => [
          names[i] ?? '',
          {
            weights: Object.fromEntries(kept.map((width) => [width, entry[width]])),
            activations: entry.activations,
          },
        ]),
      ),
      trust,
    ),
  );

t.test('maps of the tests are maps', (t) => {
  fc.assert(fc.property(maps, (map) => significanceSchema.safeParse(map).success));
  t.end();
});

t.test('never negative, never more in more bits, nothing in 32, whatever the map', (t) => {
  fc.assert(
    fc.property(maps, fc.constantFrom(...OBJECTIVES), (map, name) => {
      const damage = objectiveOf(name).damage(components, map);
      return (
        damage.length === 3 &&
        damage.every(({ name, weights, int8 }, i) => {
          const values = [weights[2], weights[4], weights[8], weights[32], int8];
          return (
            name === names[i] &&
            values.every((value) => Number.isFinite(value) && value >= 0) &&
            weights[2] >= weights[4] &&
            weights[4] >= weights[8] &&
            weights[32] === 0
          );
        })
      );
    }),
    { numRuns: 300 },
  );
  t.end();
});

t.test('pooling is the nearest that does not rise', (t) => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: -5, max: 5 }), { minLength: 3, maxLength: 3 }), (values) => {
      const pooled = nonIncreasing(values);
      const distance = (other: readonly number[]): number =>
        other.reduce((sum, value, i) => sum + (value - (values[i] ?? 0)) ** 2, 0);
      if (pooled.some((value, i) => i > 0 && value > (pooled[i - 1] ?? 0) + 1e-12)) return false;
      for (let a = -5; a <= 5; a += 0.5) {
        for (let b = -5; b <= a; b += 0.5) {
          for (let c = -5; c <= b; c += 0.5) if (distance([a, b, c]) < distance(pooled) - 1e-9) return false;
        }
      }
      return true;
    }),
    { numRuns: 40 },
  );
  t.same(weightDamage(-3, 1, -8), { 2: 0, 4: 0, 8: 0, 32: 0 });
  t.same(weightDamage(1, NaN, 0), { 2: 1, 4: 0, 8: 0, 32: 0 });
  t.end();
});

const entry = (divergence: number, outputError: number) => ({
  signed: divergence,
  divergence,
  objectness: 0,
  box: 0,
  others: 0,
  outputError,
  weightError: 1,
});
const layers = (divergences: readonly number[], trust: number | null): SignificanceMap =>
  mapOf(
    Object.fromEntries(
      names.map((name, i) => [
        name,
        {
          weights: Object.fromEntries(
            (['2', '4', '8'] as const).map((width) => [width, entry(divergences[i] ?? 0, 1 + i)]),
          ),
          activations: entry(divergences[i] ?? 0, 1 + i),
        },
      ]),
    ),
    trust,
  );
const alone = { ...SEMANTIC_WEIGHTS, objectness: 0, box: 0, others: 0, weightError: 0 };
const at4 = (map: SignificanceMap): number[] =>
  semanticDamage(map, components, alone).map(({ weights }) => weights[4]);

t.test('a map that is noise moves nothing; one that is reliable decides', (t) => {
  const [a, b] = [
    [9, 1, 2],
    [1, 2, 9],
  ];
  for (const nothing of [0, null, -0.5]) t.same(at4(layers(a, nothing)), at4(layers(b, nothing)));
  t.same(
    at4(layers(a, 1)).map((value) => value * 4),
    a,
    'in units of their average',
  );
  const [first = 0, second = 0] = at4(layers(a, 0.5));
  t.ok(first > second);
  t.ok(first < (at4(layers(a, 1))[0] ?? 0) && first > (at4(layers(a, 0))[0] ?? 0));
  t.end();
});

t.test('widths that were not measured follow from those that were', (t) => {
  const map = mapOf(Object.fromEntries(names.map((name) => [name, { weights: { '4': entry(16, 2) } }])), 1);
  const [byError] = objectiveOf('outputError').damage(components, map);
  t.same(byError?.weights, { 2: 8, 4: 2, 8: 0.125, 32: 0 });
  const [bySign] = objectiveOf('paperPure').damage(components, map);
  t.same(bySign?.weights, { 2: 256, 4: 16, 8: 0.0625, 32: 0 });
  t.equal(bySign?.int8, 0, 'nothing is known of activations');
  t.end();
});

t.test('maps of other models, and without what is needed, are refused', (t) => {
  const map = layers([1, 2, 3], 1);
  const { damage } = objectiveOf('semantic');
  t.throws(() => damage(components, undefined), { code: 'BAD_USAGE', message: /needs a significance map/ });
  t.throws(() => damage([...components, component('d', 1)], map), { message: /says nothing of component d/ });
  t.throws(() => damage(components.slice(1), map), { message: /no component a, which/ });
  const empty = mapOf(Object.fromEntries(names.map((name) => [name, { weights: {} }])), 1);
  t.throws(() => damage(components, empty), { message: /has no bit-width of component a/ });
  const unlabelled = structuredClone(map);
  for (const { weights } of Object.values(unlabelled.components)) {
    for (const each of Object.values(weights)) delete each?.signed;
  }
  t.throws(() => objectiveOf('paperPure').damage(components, unlabelled), { message: /needs labels/ });
  t.equal(objectiveOf('uniform').damage(components, undefined).length, 3);
  t.end();
});
