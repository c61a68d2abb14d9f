// The artifact built for its size and time: as large as the real one; slices folded where the allocation says so.
import t from 'tap';
import {
  artifactBytes,
  buildArtifact,
  frontOf,
  measureBytes,
  plotFront,
  problemOf,
  usageOf,
} from '../../src/allocation/index.js';
import { readModel, writeModel } from '../../src/onnx/index.js';
import {
  allocate,
  type Allocation,
  type BitWidth,
  componentsOf,
  packedInput,
  pixelRanges,
  prepareModel,
  quantizeModel,
  takeBytes,
  uniformAllocation,
} from '../../src/quantization/index.js';
import { inputSpecSchema } from '../../src/registry/index.js';
import { floatTensor, withSession } from '../../src/runtime/index.js';
import { focusNet } from './nets.js';

const { model, feed } = focusNet();
const components = componentsOf(prepareModel(model));
const feeds = () => [feed];
const isLow = ({ components }: Allocation): boolean =>
  Object.values(components).some(({ bits }) => typeof bits === 'number' && bits < 8);
const quantized = async (allocation: Allocation) =>
  quantizeModel(model, { allocation, feeds, rounding: isLow(allocation) ? 'gptq' : 'nearest' });

const WIDTHS: readonly BitWidth[] = [2, 8, 4, 32, 8, 4];

t.test('it is no smaller than the real one, and hardly larger', async (t) => {
  const mixed = allocate(components, (_, i) => ({ bits: WIDTHS[i % 6] ?? 8, execution: 'fp32' }));
  const integer = allocate(components, (_, i) => ({
    bits: i % 2 === 0 ? 4 : 8,
    execution: i % 3 === 0 ? 'fp32' : 'int8',
  }));
  for (const allocation of [
    mixed,
    { ...mixed, foldSlices: true },
    uniformAllocation(components, 8, 'fp32'),
    uniformAllocation(components, 8, 'int8'),
    integer,
  ]) {
    const real = writeModel((await quantized(allocation)).model).length;
    const { ranges } = await quantized(allocation);
    const [built, exact] = [
      await artifactBytes(model, allocation),
      await artifactBytes(model, allocation, ranges),
    ];
    t.ok(built >= real && built <= 1.1 * real, `${built} for ${real}`);
    t.ok(exact >= real && exact <= 1.01 * real, `with its own ranges ${exact} for ${real}`);
  }
});

t.test('where the picture is taken as bytes it is counted so', async (t) => {
  const input = inputSpecSchema.parse({
    name: Object.keys(feed)[0],
    width: 32,
    height: 32,
    colourOrder: 'rgb',
    letterbox: 'stretch',
  });
  const allocation = uniformAllocation(components, 8, 'int8');
  const data = Float32Array.from({ length: 3 * 32 * 32 }, (_, i) => (i * 7919) % 256);
  const made = await quantizeModel(model, {
    allocation,
    feeds: () => [{ [input.name]: floatTensor([1, 3, 32, 32], data) }],
    knownRanges: pixelRanges(input),
  });
  const floats = writeModel(made.model).length;
  t.equal(takeBytes(made.model, input).format, 'bytes');
  const real = writeModel(made.model).length;
  const exact = await artifactBytes(model, allocation, made.ranges, input);
  t.not(real, floats, 'the files are not of one size');
  t.ok(exact >= real && exact <= 1.01 * real, `with its own ranges ${exact} for ${real}`);
  t.ok((await artifactBytes(model, allocation, undefined, input)) >= real);
  t.same(
    packedInput(readModel(await buildArtifact(model, allocation, undefined, input)).graph.inputs, input),
    { ...input, format: 'bytes' },
  );
});

t.test('the byte model is near what is built', async (t) => {
  const bytes = await measureBytes(model, components);
  const problem = { ...(await problemOf(model, { objective: 'uniform' })), bytes };
  for (const allocation of [
    uniformAllocation(components, 4, 'fp32'),
    allocate(components, (_, i) => ({ bits: WIDTHS[i % 6] ?? 8, execution: 'fp32' as const })),
  ]) {
    const { length } = await buildArtifact(model, allocation);
    const said = usageOf(problem, allocation).modelBytes ?? 0;
    t.ok(Math.abs(said / length - 1) < 0.05, `${said} for ${length}`);
  }
});

t.test('slices are folded where the allocation says so, and the model computes the same', async (t) => {
  const allocation = uniformAllocation(components, 32, 'fp32');
  const [plain, folded] = [await quantized(allocation), await quantized({ ...allocation, foldSlices: true })];
  const slices = (of: typeof plain): number =>
    [...of.model.graph.nodes()].filter((node) => node.is('Slice')).length;
  t.ok(slices(plain) > 0);
  t.equal(slices(folded), 0);
  t.same(
    componentsOf(folded.prepared).map(({ name }) => name),
    components.map(({ name }) => name),
  );
  const outputs: Float32Array[] = [];
  for (const { model } of [plain, folded]) {
    await withSession(writeModel(model), {}, async (session) => {
      const [first] = Object.values(await session.run(feed));
      outputs.push(Float32Array.from(first?.data as Float32Array));
    });
  }
  const [a = new Float32Array(), b = new Float32Array()] = outputs;
  t.ok(a.length > 0 && a.length === b.length);
  t.ok(
    a.every((value, i) => Math.abs(value - (b[i] ?? NaN)) <= 1e-4 * (1 + Math.abs(value))),
    'the same',
  );
});

t.test('a front without a profile: smaller files, more damage', async (t) => {
  const problem = await problemOf(model, { objective: 'uniform' });
  const seen: number[] = [];
  const points = await frontOf(problem, { sizes: 6, onProgress: (done) => seen.push(done) });
  t.same(seen, [1, 2, 3, 4, 5, 6]);
  t.ok(points.length >= 3, `${points.length} points`);
  for (const [i, point] of points.entries()) {
    const before = points[i - 1];
    if (before === undefined) continue;
    t.ok(point.modelBytes > before.modelBytes && point.damage < before.damage);
  }
  const svg = plotFront(points, '<&> "front"', {
    modelBytes: points[0]?.modelBytes ?? 0,
    damage: 1,
    label: 'here',
  });
  t.match(svg, '&#60;&#38;&#62; &#34;front&#34;');
  t.equal(svg.match(/<circle /g)?.length, points.length);
  t.notMatch(svg, /NaN|Infinity|undefined/);
  t.notMatch(plotFront([], 'nothing'), /NaN|undefined/);
});
