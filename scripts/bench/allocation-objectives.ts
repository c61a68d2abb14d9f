// Allocations by different objectives at the same size, rounded the same way: what is left of mAP and of critical accuracy.
import {
  type ObjectiveName,
  objectiveOf,
  OBJECTIVES,
  problemOf,
  solveLayers,
} from '../../src/allocation/index.js';
import { BitlaneError } from '../../src/errors.js';
import {
  bootstrap,
  criticalAccuracyFigure,
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
import { type AllocationBench, type AllocationPart, needed } from './allocation-lib.js';
import { census, type Figure } from './lib.js';
import { map50Drop, type QuantizeBench, withArtifact } from './quantize-lib.js';

/** A solution need not be proved to the last digit here. */
const SOLVER = { gap: 1e-5, seconds: 20 };

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

interface Seen {
  readonly bytes: number;
  readonly results: readonly PictureResult[];
}

const look = async (bench: QuantizeBench, bytes: Uint8Array): Promise<Seen> => {
  const { results } = await withArtifact(bench.parent, bytes, (artifact) =>
    predict(artifact, bench.valid, bench.map),
  );
  return { bytes: bytes.length, results };
};

const allocationFor = async (
  { bench, map }: AllocationBench,
  name: ObjectiveName,
  bits: number,
): Promise<Allocation> => {
  const needs = objectiveOf(name).needsMap;
  const problem = await problemOf(bench.model, {
    objective: name,
    map: needs ? needed(map, '--significance', 'bitlane significance') : undefined,
    execution: 'fp32',
    widths: [2, 4, 8],
  });
  if (name === 'uniform') return uniformMixture(problem.components, bits);
  const solved = await solveLayers(problem, { averageBits: bits }, SOLVER);
  if (solved === undefined) throw new BitlaneError('BAD_USAGE', `${bits} bits a weight are not possible`);
  process.stderr.write(
    `${name} at ${bits}: ${averageBits(problem.components, solved.allocation).toFixed(3)} bits, gap ${solved.gap.toExponential(1)}\n`,
  );
  return solved.allocation;
};

export const objectiveFigures: AllocationPart = async (given) => {
  const { bench, map, bits, objectives, limit, store } = given;
  const names = OBJECTIVES.filter((name) => objectives.includes(name));
  const key = [bench.parent.id, bench.pictures, limit ?? null, bench.train.path];
  const fp32Seen = await store.kept('fp32', key, async () => ({
    bytes: bench.parent.manifest.modelBytes,
    results: (await predict(bench.parent, bench.valid, bench.map)).results,
  }));
  const critical = new Set(map?.critical.classes ?? []);
  const judge = ({ results }: Seen): Evaluation => evaluate(results, bench.map, { rounds: 0 });
  const fp32 = judge(fp32Seen);
  const ids = bench.map.classes.flatMap((name, index) => (critical.has(name) ? [index] : []));
  const classes = ids.length > 0 ? ids : fp32.criticalClasses;
  const pictures = bench.valid.images.length;
  const accuracy = ({ judged }: Evaluation) => criticalAccuracyFigure(judged, classes);
  const figures: Figure[] = [
    { name: 'critical.fp32', unit: 'accuracy', ...bootstrap(pictures, accuracy(fp32)), runs: pictures },
  ];
  for (const width of bits) {
    const evaluations = new Map<ObjectiveName, Evaluation>();
    for (const name of names) {
      const allocation = await allocationFor(given, name, width);
      const seen = await store.kept('objective', [key, allocation], async () => {
        const made = await quantizeModel(bench.model, { allocation, feeds: bench.feeds, rounding: 'gptq' });
        return look(bench, writeModel(made.model));
      });
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
