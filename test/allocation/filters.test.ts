// Bits for single filters: where the map says they matter, within the bytes that the real file has.
import t from 'tap';
import { allocateFilters, filterDamage, OBJECTIVES, objectiveOf } from '../../src/allocation/index.js';
import { channelBits, checkAllocation, componentsOf, prepareModel } from '../../src/quantization/index.js';
import { type FilterMap, filterMapSchema, type FilterMeasures } from '../../src/significance/index.js';
import { numbers } from '../onnx/bits.js';
import { smallDetector } from '../significance/nets.js';
import { mapOf } from './maps.js';

const source = smallDetector();
const components = componentsOf(prepareModel(source));

/** Costs fall by 16 for two bits more, and are random but for what `special` says. */
const filterMap = (special: (name: string, channel: number) => number | undefined): FilterMap => {
  const next = numbers(11);
  const { format, version, model, data, critical, temperature, rounding } = mapOf({}, 0.9);
  const reliability = { divergence: 0.9, robust: 0.9, signed: 0.2 };
  const map: FilterMap = {
    format,
    version,
    model,
    data,
    granularity: 'channel',
    critical,
    temperature,
    rounding,
    components: {},
    exact: {},
    reliability: { weights: { '2': reliability, '4': reliability, '8': reliability } },
    agreement: {},
  };
  for (const { name, outputChannels } of components) {
    const own = Array.from({ length: outputChannels }, (_, channel) => special(name, channel) ?? next());
    const at = (bits: number): FilterMeasures => {
      const values = own.map((value) => (value * 16) / 4 ** bits);
      return {
        signed: values.map((value) => value - 0.01),
        divergence: values,
        robust: values,
        objectness: values,
        box: values,
        others: values,
        relativeWeightError: values.map(Math.sqrt),
        fisher: values,
        hawq: values,
      };
    };
    map.components[name] = { weights: { '2': at(2), '4': at(4), '8': at(8) } };
  }
  return map;
};

const [layer] = components;
if (layer === undefined) throw new Error('no layer');

t.test('a filter that matters most keeps its bits, one that does nothing loses them', async (t) => {
  const map = filterMap((name, channel) =>
    name !== layer.name ? undefined : channel === 1 ? 5000 : channel === 2 ? 0 : undefined,
  );
  t.ok(filterMapSchema.safeParse(map).success);
  for (const objective of OBJECTIVES.filter((name) => name !== 'outputError' && name !== 'uniform')) {
    const found = await allocateFilters(source, {
      map,
      objective,
      execution: 'fp32',
      budget: { averageBits: 4 },
    });
    checkAllocation(found.allocation, components);
    const entry = found.allocation.components[layer.name];
    const bits = entry === undefined ? [] : channelBits(layer, entry);
    t.equal(bits[1], 8, `${objective}: ${bits.join()}`);
    t.equal(bits[2], 2, `${objective}: ${bits.join()}`);
    t.ok(found.averageBits <= 4 && found.averageBits > 3.9, `${objective}: ${found.averageBits} bits`);
    t.ok(found.bound <= found.damage && found.damage - found.bound < 0.05 * found.damage + 1e-9);
  }
});

t.test('the file is within its budget, and uses it', async (t) => {
  const map = filterMap(() => undefined);
  const given = { map, objective: 'semantic', execution: 'int8' } as const;
  const { modelBytes: most } = await allocateFilters(source, { ...given, budget: { averageBits: 8 } });
  const { modelBytes: least } = await allocateFilters(source, { ...given, budget: { averageBits: 2 } });
  for (const share of [0.3, 0.6, 0.9]) {
    const budget = Math.round(least + share * (most - least));
    const found = await allocateFilters(source, { ...given, budget: { modelBytes: budget } });
    t.ok(found.modelBytes <= budget, `${found.modelBytes} bytes of ${budget}`);
    t.ok(found.modelBytes > budget - 0.15 * (most - least), `${found.modelBytes} bytes of ${budget}`);
  }
  await t.rejects(allocateFilters(source, { ...given, budget: { modelBytes: 2000 } }), {
    code: 'BAD_USAGE',
    message: /2000 bytes/,
  });
  await t.rejects(allocateFilters(source, { ...given, budget: {} }), { code: 'BAD_USAGE' });
});

t.test('what is no map of the model, and what it does not say', (t) => {
  const map = filterMap(() => undefined);
  const { [layer.name]: own, ...others } = map.components;
  const less = { ...map, components: others };
  t.throws(() => filterDamage('semantic', less, components), {
    code: 'BAD_CONFIG',
    message: new RegExp(layer.name),
  });
  const two = own?.weights['2'];
  if (two === undefined) throw new Error('no measures');
  const short = Object.fromEntries(
    Object.entries(two).map(([name, values]) => [name, values?.slice(1)]),
  ) as FilterMeasures;
  const wrong = { ...map, components: { ...map.components, [layer.name]: { weights: { '2': short } } } };
  t.throws(() => filterDamage('semantic', wrong, components), { message: /output channels/ });
  const torn = {
    ...map,
    components: { [layer.name]: { weights: { '2': { ...two, divergence: two.divergence.slice(1) } } } },
  };
  t.notOk(filterMapSchema.safeParse(torn).success);
  t.throws(
    () => filterDamage('semantic', { ...map, components: { ...others, x: { weights: {} } } }, components),
    {
      message: /no component x/,
    },
  );
  t.throws(() => filterDamage('outputError', map, components), { code: 'BAD_USAGE' });
  const { fisher, hawq, ...plain } = two;
  t.ok(fisher && hawq);
  const without = { ...map, components: { ...map.components, [layer.name]: { weights: { '2': plain } } } };
  for (const objective of ['fisher', 'hawq'] as const) {
    t.throws(() => filterDamage(objective, without, components), { message: /--baselines/ });
  }
  t.end();
});

t.test('Fisher information and Hessian traces as objectives of layers', (t) => {
  const entry = {
    signed: 1,
    divergence: 1,
    objectness: 1,
    box: 1,
    others: 1,
    outputError: 1,
    weightError: 1,
  };
  const map = mapOf({ [layer.name]: { weights: { '2': entry, '4': entry, '8': entry } } }, 0.9);
  const widths = map.components[layer.name]?.weights ?? {};
  t.throws(() => objectiveOf('hawq').damage([layer], map), { code: 'BAD_CONFIG', message: /--baselines/ });
  for (const [bits, cost] of [
    ['2', 9],
    ['4', 2],
    ['8', 0.5],
  ] as const) {
    const measures = widths[bits];
    if (measures !== undefined) [measures.hawq, measures.fisher] = [cost, cost / 2];
  }
  t.same(objectiveOf('hawq').damage([layer], map)[0]?.weights, { 2: 9, 4: 2, 8: 0.5, 32: 0 });
  t.same(objectiveOf('fisher').damage([layer], map)[0]?.weights, { 2: 4.5, 4: 1, 8: 0.25, 32: 0 });
  t.end();
});
