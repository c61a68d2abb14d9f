// Allocations by different objectives at the same size, rounded the same way: what is left of mAP and of critical accuracy, and what each does to training pictures that the map did not see.
import {
  chooseCandidate,
  comparable,
  objectivesOf,
  picturesBeside,
  wholeDamage,
  wholeMeter,
} from '../../src/adaptation/index.js';
import {
  damageOf,
  type ObjectiveName,
  objectiveOf,
  OBJECTIVES,
  type Prices,
  type Problem,
  problemOf,
  semanticPrices,
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
import type { SignificanceMap, WholeEffects } from '../../src/significance/index.js';
import { type AllocationBench, type AllocationPart, needed } from './allocation-lib.js';
import { census, type Figure } from './lib.js';
import { map50Drop, type QuantizeBench, withArtifact } from './quantize-lib.js';

/** A solution need not be proved to the last digit here. */
const SOLVER = { gap: 1e-5, seconds: 20 };
/** The product's default: few objectives' allocations, the best as a whole model on training pictures. */
const PORTFOLIO_ROW = 'portfolio';
type Row = ObjectiveName | typeof PORTFOLIO_ROW;
export const ROWS: readonly Row[] = [PORTFOLIO_ROW, ...OBJECTIVES];
/** What is held against every other row. */
const OURS = [PORTFOLIO_ROW, 'semantic'] as const satisfies readonly Row[];

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
  readonly overUniform?: number;
}

/** Layers as the solver gives them bits, at no more than the uniform mixture takes, which whole channels put above the round number. */
const solved = async (
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
  const most = Math.min(bits, averageBits(problem.components, uniform));
  const solution = await solveLayers(problem, { averageBits: most }, SOLVER);
  if (solution === undefined) throw new BitlaneError('BAD_USAGE', `${bits} bits a weight are not possible`);
  process.stderr.write(
    `${name} at ${bits}: ${averageBits(problem.components, solution.allocation).toFixed(3)} bits, gap ${solution.gap.toExponential(1)}\n`,
  );
  return {
    allocation: solution.allocation,
    overUniform: damageOf(problem, solution.allocation) / mixtureDamage(problem, uniform),
  };
};

/** What models of allocations were seen to be; rounded when something is not known from an earlier run. */
interface Looks {
  /** What it makes of the validation pictures. */
  readonly judged: (
    allocation: Allocation,
  ) => Promise<{ readonly bytes: number; readonly results: readonly PictureResult[] }>;
  /** What the whole does to training pictures that the map did not see; undefined without a map. */
  readonly whole: ((allocation: Allocation) => Promise<WholeEffects>) | undefined;
}

const looksBy = ({ bench, map, store }: AllocationBench, key: unknown): Looks => {
  const rounded = new Map<string, Promise<Uint8Array>>();
  const round = async (allocation: Allocation): Promise<Uint8Array> => {
    const made = await quantizeModel(bench.model, { allocation, feeds: bench.feeds, rounding: 'gptq' });
    return writeModel(made.model);
  };
  const bytesOf = (allocation: Allocation): Promise<Uint8Array> => {
    const text = JSON.stringify(allocation);
    const known = rounded.get(text) ?? round(allocation);
    rounded.set(text, known);
    return known;
  };
  const meter =
    map &&
    wholeMeter(bench.parent, map, { dataSet: picturesBeside(bench.train, map).compared, map: bench.map });
  return {
    judged: (allocation) =>
      store.kept('judged', [key, allocation], async () => {
        const bytes = await bytesOf(allocation);
        const { results } = await withArtifact(bench.parent, bytes, (artifact) =>
          predict(artifact, bench.valid, bench.map),
        );
        return { bytes: bytes.length, results };
      }),
    whole:
      map &&
      meter &&
      ((allocation) =>
        store.kept('whole', [key, map.data.fingerprint, allocation], async () =>
          meter(await bytesOf(allocation)),
        )),
  };
};

/** What the portfolio keeps at a size; validation pictures have no part in it. */
const portfolioFor = async (
  given: AllocationBench,
  bits: number,
  prices: Prices,
  whole: NonNullable<Looks['whole']>,
): Promise<Allocated> => {
  const { objective, allocated, scores } = await chooseCandidate({
    objectives: objectivesOf('semantic'),
    allocate: (name) => solved(given, name, bits),
    measure: async (_, allocation) => comparable(await whole(allocation)),
    prices: () => prices,
  });
  const said = scores.map(({ objective: name, damage }) => `${name} ${damage?.toPrecision(4) ?? '-'}`);
  process.stderr.write(`${PORTFOLIO_ROW} at ${bits}: ${objective} (${said.join(', ')})\n`);
  return { allocation: allocated.allocation };
};

const pricesOf = async ({ model }: QuantizeBench, map: SignificanceMap): Promise<Prices> => {
  const { components } = await problemOf(model, { objective: 'semantic', map });
  return semanticPrices(map, components);
};

export const objectiveFigures: AllocationPart = async (given) => {
  const { bench, map, bits, objectives, limit, store } = given;
  const names = ROWS.filter((name) => objectives.includes(name));
  const key = [bench.parent.id, bench.pictures, limit ?? null, bench.train.path];
  const { judged, whole } = looksBy(given, key);
  const fp32Results = await store.kept(
    'fp32',
    key,
    async () => (await predict(bench.parent, bench.valid, bench.map)).results,
  );
  const critical = new Set(map?.critical.classes ?? []);
  const judge = (results: readonly PictureResult[]): Evaluation =>
    evaluate(results, bench.map, { rounds: 0 });
  const fp32 = judge(fp32Results);
  const ids = bench.map.classes.flatMap((name, index) => (critical.has(name) ? [index] : []));
  const classes = ids.length > 0 ? ids : fp32.criticalClasses;
  const pictures = bench.valid.images.length;
  const accuracy = (evaluation: Evaluation) => criticalAccuracyFigure(evaluation.judged, classes);
  const prices = map && (await pricesOf(bench, map));
  const allocationOf = async (name: Row, width: number): Promise<Allocated> => {
    if (name === PORTFOLIO_ROW) {
      const [option, command] = ['--significance', 'bitlane significance'];
      return portfolioFor(given, width, needed(prices, option, command), needed(whole, option, command));
    }
    if (name !== 'uniform') return solved(given, name, width);
    const { components } = await problemOf(bench.model, { objective: 'uniform' });
    return { allocation: uniformMixture(components, width) };
  };
  const figures: Figure[] = [
    { name: 'critical.fp32', unit: 'accuracy', ...bootstrap(pictures, accuracy(fp32)), runs: pictures },
  ];
  for (const width of bits) {
    const evaluations = new Map<Row, Evaluation>();
    const damageOfWhole = (effects: WholeEffects | undefined): number =>
      prices === undefined || effects === undefined ? NaN : wholeDamage(prices, comparable(effects));
    const uniform = damageOfWhole(await whole?.((await allocationOf('uniform', width)).allocation));
    for (const name of names) {
      const { allocation, overUniform } = await allocationOf(name, width);
      const { bytes, results } = await judged(allocation);
      const effects = await whole?.(allocation);
      const evaluation = judge(results);
      evaluations.set(name, evaluation);
      figures.push(
        map50Drop(`alloc${width}.${name}.map50Drop`, fp32, [evaluation], pictures),
        census(`alloc${width}.${name}.bytes`, 'bytes', bytes, 1),
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
      if (effects !== undefined) {
        const { kl, objects } = effects;
        const ratio = damageOfWhole(effects) / uniform;
        figures.push(census(`alloc${width}.${name}.wholeDamageOverUniform`, 'ratio', ratio, objects));
        const value = { value: kl.mean, low: kl.low, high: kl.high };
        figures.push({
          name: `alloc${width}.${name}.heldOutDivergence`,
          unit: 'nats',
          ...value,
          runs: objects,
        });
      }
    }
    for (const our of OURS) {
      const ours = evaluations.get(our);
      if (ours === undefined) continue;
      for (const [name, evaluation] of evaluations) {
        if (name === our) continue;
        figures.push(
          {
            name: `critical.${width}.${our}-${name}`,
            unit: 'difference',
            ...pairedBootstrap(pictures, accuracy(evaluation), accuracy(ours)),
            runs: pictures,
          },
          map50Drop(`alloc${width}.${our}-${name}.map50Gain`, ours, [evaluation], pictures),
        );
      }
    }
  }
  return figures;
};
