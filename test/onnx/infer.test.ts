// Shape inference, cutting and reach, held against what onnxruntime computes.
import { readFileSync } from 'node:fs';
import t, { type Test } from 'tap';
import {
  cloneModel,
  downstream,
  extract,
  inferShapes,
  isStatic,
  type Model,
  readModel,
  upstream,
  writeModel,
} from '../../src/onnx/index.js';
import { isTensorType, withSession } from '../../src/runtime/index.js';
import { requireData, skipWithout } from '../helpers/data.js';
import { tinyDetector } from '../helpers/tinyModel.js';
import { differences, feedsFor, numbers, outputsOf } from './bits.js';
import { zoo } from './zoo.js';

/** A copy that puts out every value that has a type which a session gives. */
const exposed = (model: Model): Model => {
  const copy = cloneModel(model);
  for (const value of copy.graph.values) {
    if (value.producer === undefined || value.isOutput || value.type === undefined) continue;
    if (isTensorType(value.type)) copy.graph.addOutput(value);
  }
  return copy;
};

/** Compares inferred with computed types and shapes; returns how many were fully known. */
const compare = async (t: Test, model: Model, what: string): Promise<number> => {
  inferShapes(model);
  const untyped = model.graph.values.filter((value) => value.type === undefined).map((value) => value.name);
  t.same(untyped, [], `${what}: every type is known`);
  const copy = exposed(model);
  const bytes = writeModel(copy);
  const results = await outputsOf(bytes, await feedsFor(bytes));
  let known = 0;
  for (const [name, result] of Object.entries(results)) {
    const value = model.graph.value(name);
    if (value === undefined) throw new Error(`no value ${name}`);
    if (value.type !== result.type) t.equal(value.type, result.type, `${what}: type of ${name}`);
    const { shape } = value;
    if (shape === undefined) continue;
    const fits =
      shape.length === result.dims.length &&
      shape.every((dim, i) => typeof dim === 'string' || dim === result.dims[i]);
    if (!fits) t.same(shape, result.dims, `${what}: shape of ${name}`);
    if (isStatic(shape)) known += 1;
  }
  return known / Object.keys(results).length;
};

t.test('every rule agrees with onnxruntime', async (t) => {
  for (const { name, bytes, partly } of zoo()) {
    const model = readModel(bytes);
    for (const value of model.graph.outputs) [value.type, value.shape] = [undefined, undefined];
    const known = await compare(t, model, name);
    if (partly === true) t.ok(known < 1, `${name}: not all can be known`);
    else t.equal(known, 1, `${name}: all known`);
  }
});

t.test('a symbolic dimension stays symbolic', async (t) => {
  const [model] = zoo()
    .filter(({ name }) => name === 'tail')
    .map(({ bytes }) => readModel(bytes));
  if (model === undefined) throw new Error('no such model');
  const [input] = model.graph.inputs;
  if (input === undefined) throw new Error('no input');
  input.shape = ['batch', ...(input.shape ?? []).slice(1)];
  for (const value of model.graph.values) {
    if (value.producer !== undefined) [value.type, value.shape] = [undefined, undefined];
  }
  inferShapes(model);
  for (const output of model.graph.outputs) {
    t.equal(output.shape?.[0], 'batch', output.name);
    t.ok(
      output.shape?.slice(1).every((dim) => typeof dim === 'number'),
      `${output.name}: the rest is known`,
    );
  }
});

t.test('an unknown operator gives unknown shapes, not an error', async (t) => {
  const model = readModel(tinyDetector({ head: 'yolov8', classes: ['car'], anchors: 4 }).bytes);
  for (const node of model.graph.nodes()) node.opType = `${node.opType}Unheard`;
  inferShapes(model);
  const inner = model.graph.values.filter((value) => value.producer !== undefined && !value.isOutput);
  t.ok(inner.length > 0);
  t.ok(inner.every((value) => value.shape === undefined && value.type === undefined));
});

const cutAtRandom = async (t: Test, model: Model, rounds: number): Promise<void> => {
  inferShapes(model);
  const bytes = writeModel(exposed(model));
  const feeds = await feedsFor(bytes);
  const all = { ...feeds, ...(await outputsOf(bytes, feeds)) };
  const next = numbers(11);
  const nodes = [...model.graph.nodes()];
  for (let round = 0; round < rounds; round++) {
    const end = nodes[Math.floor(next() * nodes.length)];
    const output = end?.output();
    if (end === undefined || output === undefined || all[output.name] === undefined) continue;
    // A border: values of up to some distance before, and the graph's inputs for what goes past it.
    const before = [...upstream(end)].filter(() => next() < 0.2).flatMap((node) => node.output() ?? []);
    const borders = [...new Set([...before, ...model.graph.inputs])].filter(
      (value) => all[value.name] !== undefined && value !== output,
    );
    const part = extract(model, borders, [output]);
    const partBytes = writeModel(part);
    const partFeeds = Object.fromEntries(
      await withSession(partBytes, { optimization: 'disabled' }, (session) =>
        session.inputs.flatMap(({ name }) => {
          const value = all[name];
          return value === undefined ? [] : [[name, value] as const];
        }),
      ),
    );
    const result = await outputsOf(partBytes, partFeeds);
    const expected = all[output.name];
    t.same(
      expected === undefined ? ['?'] : differences(result, { [output.name]: expected }),
      [],
      output.name,
    );
  }
};

t.test('a part computes the same bits', async (t) => {
  for (const { name, bytes } of zoo())
    if (name === 'tail' || name === 'stem') await cutAtRandom(t, readModel(bytes), 6);
});

const YOLOX = ['models', 'yolox-nano', 'yolox_nano.onnx'] as const;

t.test('YOLOX-nano: shapes, parts, reach', { skip: skipWithout(...YOLOX) }, async (t) => {
  const model = readModel(readFileSync(requireData(...YOLOX)));
  for (const value of model.graph.values) {
    if (value.producer !== undefined) [value.type, value.shape] = [undefined, undefined];
  }
  t.equal(await compare(t, cloneModel(model), 'YOLOX-nano'), 1);
  await cutAtRandom(t, model, 4);
  const convolutions = [...model.graph.nodes()].filter((node) => node.is('Conv'));
  const [first, last] = [convolutions[0], convolutions.at(-1)];
  if (first === undefined || last === undefined) throw new Error('no convolutions');
  t.equal([...downstream(first)].filter((node) => node.is('Conv')).length, 112);
  t.equal([...downstream(last)].filter((node) => node.is('Conv')).length, 0);
  t.ok(upstream(last).has(first));
  t.notOk(upstream(first).has(last));
});
