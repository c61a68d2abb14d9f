// Gradients of single filters against differences of whole networks; estimates against exact values.
import fc from 'fast-check';
import t from 'tap';
import { cloneModel, type Model, tensorOf } from '../../src/onnx/index.js';
import { type Component, componentsOf, prepareModel } from '../../src/quantization/index.js';
import type { DetectorSpec } from '../../src/registry/index.js';
import { floatTensor, type Tensors, withSession } from '../../src/runtime/index.js';
import { writeModel } from '../../src/onnx/index.js';
import { CriticalSet, objectsOf } from '../../src/significance/measures.js';
import { findObjects, type FoundObjects } from '../../src/significance/objects.js';
import { makePerturbations } from '../../src/significance/perturb.js';
import { rowsOf, takeRows } from '../../src/significance/rows.js';
import { meanOf, spearman } from '../../src/significance/statistics.js';
import { estimateFilters, Responder } from '../../src/significance/gradient/estimate.js';
import { filtersOf, measureFilters } from '../../src/significance/gradient/exact.js';
import { informationOf, measureInformation } from '../../src/significance/gradient/information.js';
import { responseModels, type RoundedComponent } from '../../src/significance/gradient/response-models.js';
import { changeOf, fisherRoot } from '../../src/significance/gradient/second-order.js';
import { headOutputs } from '../../src/significance/gradient/seeded.js';
import {
  classSlopes,
  edgeSlopes,
  objectnessSlope,
  type Slope,
} from '../../src/significance/gradient/slopes.js';
import { Tally } from '../../src/significance/gradient/tally.js';
import { noise, numbers } from '../onnx/bits.js';
import { makeFixture, smallSpace } from './fixture.js';
import { naiveOutputs } from './naive.js';
import { SIDE, smallDetector, smallGfl, smallSpec, smallYolov8 } from './nets.js';

const logits = fc.array(fc.double({ min: -6, max: 6, noNaN: true }), { minLength: 2, maxLength: 6 });

const softmax = (z: readonly number[]): number[] => {
  const e = z.map((value) => Math.exp(value));
  const sum = e.reduce((a, b) => a + b, 0);
  return e.map((value) => value / sum);
};

t.test('a root of the Fisher matrix, and what moved logits do to a distribution', (t) => {
  fc.assert(
    fc.property(logits, (z) => {
      const p = softmax(z);
      const root = fisherRoot(p);
      return p.every((a, i) =>
        p.every((b, j) => {
          const fisher = (i === j ? a : 0) - a * b;
          const own = (root[i] ?? []).reduce((sum, value, k) => sum + value * (root[j]?.[k] ?? 0), 0);
          return Math.abs(own - fisher) < 1e-12;
        }),
      );
    }),
  );
  fc.assert(
    fc.property(logits, fc.integer({ min: 1, max: 1e6 }), fc.nat(5), (z, seed, at) => {
      const next = numbers(seed);
      const moves = z.slice(1).map(() => 6 * next() - 3);
      const truth = at % z.length;
      const p = softmax(z);
      const q = softmax(z.map((value, i) => value + (i === 0 ? 0 : (moves[i - 1] ?? 0))));
      const { divergence, distance, signed } = changeOf(p, moves, truth);
      const kl = p.reduce((sum, a, i) => sum + a * Math.log(a / (q[i] ?? 0)), 0);
      const overlap = p.reduce((sum, a, i) => sum + Math.sqrt(a * (q[i] ?? 0)), 0);
      return (
        Math.abs(divergence - kl) < 1e-9 &&
        Math.abs(distance - Math.sqrt(Math.max(0, 1 - overlap))) < 1e-6 &&
        Math.abs(signed - Math.log((p[truth] ?? 0) / (q[truth] ?? 0))) < 1e-9
      );
    }),
  );
  t.end();
});

/** The heads, each with its small network. */
const heads: readonly (readonly [string, { readonly model: Model; readonly spec: DetectorSpec }])[] = [
  ['yolox', { model: smallDetector(), spec: smallSpec }],
  ['yolov8', smallYolov8()],
  ['gfl', smallGfl()],
];

const picture = (seed: number): Tensors => ({
  x: floatTensor([1, 3, SIDE, SIDE], noise(3 * SIDE * SIDE, seed)),
});

for (const [name, { model: source, spec }] of heads) {
  t.test(`${name}: slopes of what a row says`, async (t) => {
    const outputs = await withSession(writeModel(source), {}, (session) => session.run(picture(1)));
    const rows = rowsOf(spec, outputs);
    for (const row of [5, 130, rows.count - 3]) {
      const raw = takeRows(rows, outputs, [row]);
      const read = (values: ArrayLike<number>) => rows.read(values, 0, row);
      const own = read(raw);
      const size = (a: 'x1' | 'y1', b: 'x2' | 'y2'): number => Math.max(1, own.box[b] - own.box[a]);
      const said = (values: ArrayLike<number>): number[] => {
        const { box, objectness, logits: z } = read(values);
        const [w, h] = [size('x1', 'x2'), size('y1', 'y2')];
        return [...z, objectness, box.x1 / w, box.y1 / h, box.x2 / w, box.y2 / h];
      };
      const slopes = [
        ...classSlopes(rows, raw, row, smallSpace).slice(0, 3),
        objectnessSlope(rows, raw, row),
        ...edgeSlopes(rows, raw, row),
      ];
      for (const [column, place] of rows.columns.entries()) {
        const { output, element } = place(row);
        const value = raw[column] ?? 0;
        const [low, high] = [-1, 1].map((sign) => {
          const moved = Float64Array.from(raw);
          moved[column] = value + sign * 1e-5 * Math.max(1e-3, Math.abs(value));
          return { said: said(moved), at: moved[column] };
        });
        for (const [i, parts] of slopes.entries()) {
          const analytic = parts
            .filter((slope) => slope.output === output && slope.element === element)
            .reduce((sum, { weight }) => sum + weight, 0);
          const numeric = ((high?.said[i] ?? 0) - (low?.said[i] ?? 0)) / ((high?.at ?? 1) - (low?.at ?? 0));
          t.ok(
            Math.abs(analytic - numeric) <= 2e-3 * (1 + Math.abs(numeric)),
            `row ${row}, column ${column}, ${i}: ${analytic} and ${numeric}`,
          );
        }
      }
    }
  });

  t.test(`${name}: responses of all filters are differences of whole networks`, async (t) => {
    const model = prepareModel(source);
    const outputs = headOutputs(spec);
    const next = numbers(3);
    const components = componentsOf(model);
    /** Weights and biases a little off. */
    const shifted = (component: Component, sign: number): RoundedComponent => {
      const seedOf = components.indexOf(component) + 1;
      const floats = (value: string | undefined): Float32Array => {
        const tensor = model.graph.value(value ?? '')?.constant;
        return tensor?.kind === 'dense' && tensor.type === 'float32' ? tensor.data : new Float32Array(0);
      };
      const move = (data: Float32Array, seed: number): Float32Array => {
        const random = noise(data.length, seed);
        return data.map((value, i) => value + sign * 2e-3 * (random[i] ?? 0));
      };
      return {
        component,
        layers: [
          {
            weights: move(floats(component.weight), seedOf),
            bias: component.bias === undefined ? undefined : move(floats(component.bias), seedOf + 100),
            relativeError: 0,
          },
        ],
      };
    };
    const models = responseModels(
      model,
      outputs,
      components.map((component) => shifted(component, 1)),
      2,
    );
    t.equal(models.answers.length, components.length, 'every layer answers');
    const feed = picture(2);
    const responder = await Responder.open(models, 1);
    try {
      const plain = await responder.look(feed);
      const seeds: Slope[] = outputs.flatMap((output) => {
        const count = plain[output]?.data.length ?? 0;
        return Array.from({ length: 12 }, () => ({
          output,
          element: Math.floor(next() * count),
          weight: 2 * next() - 1,
        }));
      });
      // Two in one run, the third in another: what a direction is answered does not depend on its company.
      const twice = seeds.map((slope) => ({ ...slope, weight: -2 * slope.weight }));
      const [ignored, responses, doubled] = await responder.respond([seeds.slice(0, 5), seeds, twice]);
      if (ignored === undefined || responses === undefined || doubled === undefined)
        throw new Error('answers');
      t.ok(ignored.some((value, i) => Math.abs(value - (responses[i] ?? NaN)) > 1e-6));
      const most = Math.max(...responses.map(Math.abs));
      t.ok(responses.every((value, i) => Math.abs(2 * value + (doubled[i] ?? NaN)) <= 1e-5 * most));
      const valueOf = (said: Tensors): number =>
        seeds.reduce((sum, { output, element, weight }) => {
          return sum + weight * Number(said[output]?.data[element] ?? NaN);
        }, 0);
      let first = 0;
      for (const component of components) {
        const channel = Math.floor(next() * component.outputChannels);
        const said: number[] = [];
        for (const sign of [1, -1]) {
          const [layer] = shifted(component, sign).layers;
          const plainWeights = model.graph.value(component.weight)?.constant;
          const plainBias = model.graph.value(component.bias ?? '')?.constant;
          if (layer === undefined || plainWeights?.kind !== 'dense' || plainBias?.kind !== 'dense') continue;
          const weights = Float32Array.from(plainWeights.data as Float32Array);
          const bias = Float32Array.from(plainBias.data as Float32Array);
          const run = weights.length / component.outputChannels;
          weights.set(layer.weights.subarray(channel * run, (channel + 1) * run), channel * run);
          bias[channel] = layer.bias?.[channel] ?? 0;
          said.push(valueOf(await naiveOutputs(model, component, { kind: 'weights', weights, bias }, feed)));
        }
        const numeric = ((said[0] ?? NaN) - (said[1] ?? NaN)) / 2;
        const own = responses[first + channel] ?? NaN;
        const scale = Math.max(1e-4, Math.abs(numeric));
        t.ok(
          Math.abs(own - numeric) <= 0.03 * scale,
          `${component.name} filter ${channel}: ${own} and ${numeric}`,
        );
        first += component.outputChannels;
      }
    } finally {
      await responder.release();
    }
  });
}

const fixture = await makeFixture(t.testdir());

const ground = async () => {
  const model = prepareModel(smallDetector());
  const found = await findObjects(model, smallSpec, smallSpace, fixture.pictures);
  const objects = objectsOf(found.pictures, false);
  const critical = new CriticalSet(objects, found.rows, found.pictures.length, {
    groups: [[0, 1, 2]],
    costs: [],
  });
  const bits = [2, 4, 8] as const;
  const perturbations = await makePerturbations(model, {
    rounding: 'nearest',
    bits,
    feeds: () => [picture(1)],
  });
  const roundings = componentsOf(model).map((component) => ({
    component,
    layers: bits.flatMap((width) => perturbations.weights.get(component.name)?.get(width) ?? []),
  }));
  return { model, found, objects, critical, bits, perturbations, roundings };
};

t.test('estimates of every filter against exact values', async (t) => {
  const { model, found, critical, bits, perturbations, roundings } = await ground();
  const given = { model, detector: smallSpec, space: smallSpace, found, critical };
  const every = filtersOf(model);
  const places = every.flatMap((_, i) => (i % 3 === 1 ? [i] : []));
  const filters = places.flatMap((i) => every[i] ?? []);
  const exact = await measureFilters({ ...given, perturbations, bits, filters, windows: true });
  for (const [directions, least] of [
    [200, [0.9, 0.97, 0.97]],
    [2, [0.8, 0.85, 0.85]],
  ] as const) {
    const { tallies, widths, filters: count } = await estimateFilters({ ...given, roundings, directions });
    t.equal(count, every.length);
    for (const [width] of bits.entries()) {
      const of = (data: Float64Array): number[] => places.map((i) => data[i * widths + width] ?? 0);
      const measured = (pick: (one: NonNullable<(typeof exact)[number][number]>) => number): number[] =>
        exact.map((each) => {
          const one = each[width];
          return one === undefined ? 0 : pick(one);
        });
      const pairs = [
        ['divergence', of(tallies.divergence.means), measured((one) => meanOf(one.divergence))],
        ['distance', of(tallies.distance.means), measured((one) => meanOf(one.distances.critical))],
      ] as const;
      for (const [name, estimated, real] of pairs) {
        const rank = spearman(estimated, real) ?? NaN;
        t.ok(rank >= (least[width] ?? 1), `${name}, ${directions} directions, ${bits[width]} bits: ${rank}`);
        const ratio = estimated.reduce((a, b) => a + b, 0) / real.reduce((a, b) => a + b, 0);
        if (width === 2 && directions === 200) {
          t.ok(Math.abs(ratio - 1) < 0.1, `${name} in all: ${ratio} of the exact`);
        }
      }
    }
  }
});

t.test('guards: the same filters disturb them', async (t) => {
  const { model, found, critical, perturbations, roundings } = await ground();
  // A guard looks at a third of the pictures: here all are alike to it.
  const [one] = found.pictures;
  if (one === undefined) throw new Error('no picture');
  const width = found.rows.length / critical.references.length;
  const firstRows = found.rows.slice(0, width * one.rows.length);
  const many: FoundObjects = {
    ...found,
    pictures: Array.from({ length: 48 }, () => one),
    rows: new Float32Array(Array.from({ length: 48 }, () => [...firstRows]).flat()),
  };
  const set = new CriticalSet(
    objectsOf(many.pictures, false),
    many.rows,
    48,
    { groups: [[0, 1]], costs: [] },
    1,
  );
  const given = { model, detector: smallSpec, space: smallSpace };
  const every = filtersOf(model);
  const places = every.flatMap((_, i) => (i % 4 === 2 ? [i] : []));
  const filters = places.flatMap((i) => every[i] ?? []);
  const single = new CriticalSet(objectsOf([one], false), firstRows, 1, { groups: [[0, 1]], costs: [] }, 1);
  const exact = await measureFilters({
    ...given,
    found: { ...found, pictures: [one], rows: firstRows },
    critical: single,
    perturbations,
    bits: [4],
    filters,
    windows: true,
  });
  const { tallies, widths } = await estimateFilters({ ...given, found: many, critical: set, roundings });
  // At 4 bits, the second of three widths.
  const at = 1;
  for (const [name, tally, pick] of [
    ['objectness', tallies.objectness, 'objectness'],
    ['others', tallies.others, 'others'],
    ['box', tallies.box, 'box'],
  ] as const) {
    const means = tally.means;
    const rank = spearman(
      places.map((i) => means[i * widths + at] ?? 0),
      exact.map((each) => {
        const [measured] = each;
        return measured === undefined ? 0 : meanOf(measured[pick]);
      }),
    );
    t.ok((rank ?? 0) > 0.9, `${name}: ${rank}`);
  }
});

t.test('split halves of a tally', async (t) => {
  const tally = new Tally(3);
  for (let picture = 0; picture < 40; picture++) {
    tally.now.set([1 + (picture % 2), 5, 9]);
    tally.weigh(1);
    tally.close();
  }
  t.same([...tally.means], [1.5, 5, 9]);
  t.equal(tally.splitHalf([0, 1, 2]), 1);
  t.equal(new Tally(2).splitHalf([0, 1]), null);
});

/** Minus the log of the right class and of the objectness, over the objects of a picture. */
const lossOf = (
  said: Tensors,
  wanted: readonly number[],
  truths: readonly { readonly truth: number }[],
): number => {
  const rows = rowsOf(smallSpec, said);
  return wanted.reduce((sum, row, i) => {
    const { objectness, logits: z } = rows.read(takeRows(rows, said, [row]), 0, row);
    const p = softmax([...z]);
    return sum - Math.log(p[truths[i]?.truth ?? 0] ?? 0) + Math.log1p(Math.exp(-objectness));
  }, 0);
};

t.test('Fisher information and Hessian traces against differences of the loss', async (t) => {
  const { model, found, objects } = await ground();
  const [one] = found.pictures;
  if (one === undefined) throw new Error('no picture');
  const repeats = 96;
  const many = { ...found, pictures: Array.from({ length: repeats }, () => one) };
  const truths = objects.slice(0, one.rows.length);
  const { fisher, trace } = await measureInformation({
    model,
    detector: smallSpec,
    space: smallSpace,
    found: many,
    objects: Array.from({ length: repeats }, () => truths).flat(),
    pictures: repeats,
  });
  const component = componentsOf(model).at(-1);
  if (component === undefined) throw new Error('no layer');
  const { looksAt } = await import('../../src/significance/looks.js');
  const [look] = await looksAt(smallSpec, [one]);
  if (look === undefined) throw new Error('no look');
  const plain = model.graph.value(component.weight)?.constant;
  if (plain?.kind !== 'dense' || plain.type !== 'float32') throw new Error('no weights');
  const bias = model.graph.value(component.bias ?? '')?.constant;
  const biasData = bias?.kind === 'dense' && bias.type === 'float32' ? bias.data : undefined;
  const lossAt = async (index: number, shift: number): Promise<number> => {
    const weights = plain.data.slice();
    weights[index] = (weights[index] ?? 0) + shift;
    const said = await naiveOutputs(
      model,
      component,
      { kind: 'weights', weights, bias: biasData },
      look.feed,
    );
    return lossOf(said, one.rows, truths);
  };
  let real = 0;
  const step = 0.05;
  const here = await lossAt(0, 0);
  for (let i = 0; i < plain.data.length; i++) {
    const [ahead, behind] = [await lossAt(i, step), await lossAt(i, -step)];
    real += (ahead - 2 * here + behind) / step ** 2 / plain.data.length;
    const slope = (ahead - behind) / (2 * step);
    const own = fisher.get(component.weight)?.[i] ?? NaN;
    t.ok(
      Math.abs(Math.sqrt(own) - Math.abs(slope)) <= 0.02 * (0.05 + Math.abs(slope)),
      `${own} and ${slope ** 2}`,
    );
  }
  // The loss does not look at boxes: the layer of each map that says them has no part in it.
  t.equal([...trace.values()].filter((each) => each === 0).length, 2, 'every other layer has a trace');
  const own = trace.get(component.weight) ?? NaN;
  t.ok(Math.abs(own - real) <= 0.25 * Math.abs(real), `trace ${own} and ${real}`);
});

t.test('layers that share a weight have its information each', async (t) => {
  const model = prepareModel(smallDetector());
  const classLayers = (): Component[] =>
    componentsOf(model).filter(({ weightDims }) => weightDims.join() === '3,8,1,1');
  const [first, other] = classLayers();
  const node = [...model.graph.nodes()].find((each) => each.output()?.name === other?.output);
  if (first === undefined || node === undefined) throw new Error('two layers');
  node.setInput(1, model.graph.value(first.weight));
  const found = await findObjects(model, smallSpec, smallSpace, fixture.pictures);
  const [one] = found.pictures;
  if (one === undefined) throw new Error('no picture');
  const truths = objectsOf(found.pictures, false).slice(0, one.rows.length);
  const information = await measureInformation({
    model,
    detector: smallSpec,
    space: smallSpace,
    found: { ...found, pictures: [one] },
    objects: truths,
  });
  const { looksAt } = await import('../../src/significance/looks.js');
  const [look] = await looksAt(smallSpec, [one]);
  const plain = model.graph.value(first.weight)?.constant;
  if (look === undefined || plain?.kind !== 'dense' || plain.type !== 'float32') throw new Error('no look');
  // Of a copy whose layers share the moved weight still.
  const lossAt = async (index: number, shift: number): Promise<number> => {
    const moved = plain.data.slice();
    moved[index] = (moved[index] ?? 0) + shift;
    const copy = cloneModel(model);
    const value = copy.graph.value(first.weight);
    if (value === undefined) throw new Error('no weight');
    copy.graph.setTensor(value, tensorOf('float32', plain.dims, moved));
    const said = await withSession(writeModel(copy), {}, (session) => session.run(look.feed));
    return lossOf(said, one.rows, truths);
  };
  const step = 0.05;
  const rounded = plain.data.map((weight, i) => weight + (i % 3) * 0.01);
  let fisher = 0;
  for (let i = 0; i < plain.data.length; i++) {
    const slope = ((await lossAt(i, step)) - (await lossAt(i, -step))) / (2 * step);
    fisher += (slope * ((rounded[i] ?? 0) - (plain.data[i] ?? 0))) ** 2 / 2;
  }
  const layers = [{ weights: rounded, bias: undefined, relativeError: 0 }];
  const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);
  const said = classLayers().map((component) => informationOf(model, information, { component, layers }, 0));
  t.equal(said.length, 2);
  for (const each of said) {
    t.ok(Math.abs(sum(each.fisher) / fisher - 1) < 0.05, `${sum(each.fisher)} and ${fisher}`);
    t.ok(sum(each.hawq) > 0);
  }
});
