// Allocations by different objectives at the same size, rounded the same way: what is left of mAP and of critical accuracy, and what each does to pictures that nothing was measured on.
import {
  damageOf,
  type ObjectiveName,
  objectiveOf,
  OBJECTIVES,
  type Problem,
  problemOf,
  solveLayers,
} from '../../src/allocation/index.js';
import { BitlaneError } from '../../src/errors.js';
import {
  bootstrap,
  criticalAccuracyFigure,
  type DataSet,
  evaluate,
  type Evaluation,
  pairedBootstrap,
  type PictureResult,
  predict,
} from '../../src/evaluation/index.js';
import { writeModel } from '../../src/onnx/index.js';
import {
  allocate,
  type Allocation,
  averageBits,
  type BitWidth,
  type Component,
  quantizeModel,
} from '../../src/quantization/index.js';
import {
  labelledPictures,
  observeObjects,
  type SignificanceMap,
  type WholeEffects,
} from '../../src/significance/index.js';
import { type AllocationBench, type AllocationPart, needed } from './allocation-lib.js';
import { census, type Figure } from './lib.js';
import { map50Drop, type QuantizeBench, withArtifact } from './quantize-lib.js';

/** A solution need not be proved to the last digit here. */
const SOLVER = { gap: 1e-5, seconds: 20 };
/** Training pictures behind those of the map: what allocations do is measured on them. */
const HELD_OUT = 150;

/** The same mixture of channels in every layer, spread evenly: what uniform means between two bit-widths. */
const uniformMixture = (components: readonly Component[], average: number): Allocation => {
  const widths: readonly BitWidth[] = [2, 4, 8, 32];
  const low = widths.findLast((width) => width <= average) ?? 2;
  const high = widths.find((width) => width >= average) ?? 32;
  const share = high === low ? 1 : (high - average) / (high - low);
  return allocate(components, ({ outputChannels }) => {
    const few = Math.ceil(share * outputChannels);
    const bits = Array.from({ length: outputChannels }, (_, channel) =>
      Math.floor(((channel + 1) * few) / outputChannels) > Math.floor((channel * few) / outputChannels)
        ? low
        : high,
    );
    return { bits: bits.every((width) => width === bits[0]) ? (bits[0] ?? low) : bits, execution: 'fp32' };
  });
};

/** What a mixture of channels costs by damages of whole layers: each bit-width's, as often as it is there. */
const mixtureDamage = ({ damage }: Problem, { components }: Allocation): number =>
  damage.reduce((sum, { name, weights }) => {
    const bits = components[name]?.bits ?? 32;
    const own = typeof bits === 'number' ? [bits] : bits;
    return sum + own.reduce((total, width) => total + weights[width], 0) / own.length;
  }, 0);

interface Allocated {
  readonly allocation: Allocation;
  /** The objective's own damage over that of the uniform allocation; undefined for that one itself. */
  readonly overUniform: number | undefined;
}

const allocationFor = async (
  { bench, map }: AllocationBench,
  name: ObjectiveName,
  bits: number,
): Promise<Allocated> => {
  const needs = objectiveOf(name).needsMap;
  const problem = await problemOf(bench.model, {
    objective: name,
    map: needs ? needed(map, '--significance', 'bitlane significance') : undefined,
    execution: 'fp32',
    widths: [2, 4, 8],
  });
  const uniform = uniformMixture(problem.components, bits);
  if (name === 'uniform') return { allocation: uniform, overUniform: undefined };
  // No more than what uniform takes, which whole channels put above the round number.
  const most = Math.min(bits, averageBits(problem.components, uniform));
  const solved = await solveLayers(problem, { averageBits: most }, SOLVER);
  if (solved === undefined) throw new BitlaneError('BAD_USAGE', `${bits} bits a weight are not possible`);
  process.stderr.write(
    `${name} at ${bits}: ${averageBits(problem.components, solved.allocation).toFixed(3)} bits, gap ${solved.gap.toExponential(1)}\n`,
  );
  return {
    allocation: solved.allocation,
    overUniform: damageOf(problem, solved.allocation) / mixtureDamage(problem, uniform),
  };
};

interface Seen {
  readonly bytes: number;
  readonly results: readonly PictureResult[];
  readonly effects: WholeEffects | null;
}

/** What measures models on training pictures that the map did not see. */
const observer = async ({ parent, train, map: classes }: QuantizeBench, map: SignificanceMap) => {
  const from = map.data.pictures;
  const heldOut: DataSet = {
    ...train,
    images: train.images.slice(from, from + HELD_OUT),
    load: (index) => train.load(index + from),
  };
  return observeObjects({
    model: { path: parent.modelPath, detector: parent.manifest.detector },
    space: { classes: classes.classes, fromModel: classes.fromModel },
    pictures: await labelledPictures(heldOut, classes),
    groups: map.critical.groups.map((group) => group.map((name) => classes.classes.indexOf(name))),
    temperature: map.temperature,
  });
};

export const objectiveFigures: AllocationPart = async (given) => {
  const { bench, map, bits, objectives, limit, store } = given;
  const names = OBJECTIVES.filter((name) => objectives.includes(name));
  const key = [bench.parent.id, bench.pictures, limit ?? null, bench.train.path];
  const fp32Seen = await store.kept('fp32', key, async () => ({
    bytes: bench.parent.manifest.modelBytes,
    results: (await predict(bench.parent, bench.valid, bench.map)).results,
    effects: null,
  }));
  const critical = new Set(map?.critical.classes ?? []);
  const judge = ({ results }: Seen): Evaluation => evaluate(results, bench.map, { rounds: 0 });
  const fp32 = judge(fp32Seen);
  const ids = bench.map.classes.flatMap((name, index) => (critical.has(name) ? [index] : []));
  const classes = ids.length > 0 ? ids : fp32.criticalClasses;
  const pictures = bench.valid.images.length;
  const accuracy = ({ judged }: Evaluation) => criticalAccuracyFigure(judged, classes);
  let observe: Awaited<ReturnType<typeof observer>> | undefined;
  const look = async (allocation: Allocation): Promise<Seen> => {
    const made = await quantizeModel(bench.model, { allocation, feeds: bench.feeds, rounding: 'gptq' });
    const bytes = writeModel(made.model);
    const { results } = await withArtifact(bench.parent, bytes, (artifact) =>
      predict(artifact, bench.valid, bench.map),
    );
    if (map !== undefined) observe ??= await observer(bench, map);
    return { bytes: bytes.length, results, effects: (await observe?.(bytes)) ?? null };
  };
  const figures: Figure[] = [
    { name: 'critical.fp32', unit: 'accuracy', ...bootstrap(pictures, accuracy(fp32)), runs: pictures },
  ];
  for (const width of bits) {
    const evaluations = new Map<ObjectiveName, Evaluation>();
    for (const name of names) {
      const { allocation, overUniform } = await allocationFor(given, name, width);
      const about = [key, map?.data.fingerprint ?? null, allocation];
      const seen = await store.kept('objective', about, () => look(allocation));
      const evaluation = judge(seen);
      evaluations.set(name, evaluation);
      figures.push(
        map50Drop(`alloc${width}.${name}.map50Drop`, fp32, evaluation, pictures),
        census(`alloc${width}.${name}.bytes`, 'bytes', seen.bytes, 1),
        {
          name: `critical.${width}.${name}`,
          unit: 'accuracy',
          ...bootstrap(pictures, accuracy(evaluation)),
          runs: pictures,
        },
      );
      if (overUniform !== undefined) {
        figures.push(census(`alloc${width}.${name}.ownDamageOverUniform`, 'ratio', overUniform, 1));
      }
      if (seen.effects !== null) {
        const { kl, objects } = seen.effects;
        const value = { value: kl.mean, low: kl.low, high: kl.high };
        figures.push({
          name: `alloc${width}.${name}.heldOutDivergence`,
          unit: 'nats',
          ...value,
          runs: objects,
        });
      }
    }
    const ours = evaluations.get('semantic');
    if (ours === undefined) continue;
    for (const [name, evaluation] of evaluations) {
      if (name === 'semantic') continue;
      figures.push(
        {
          name: `critical.${width}.semantic-${name}`,
          unit: 'difference',
          ...pairedBootstrap(pictures, accuracy(evaluation), accuracy(ours)),
          runs: pictures,
        },
        map50Drop(`alloc${width}.semantic-${name}.map50Gain`, ours, evaluation, pictures),
      );
    }
  }
  return figures;
};
