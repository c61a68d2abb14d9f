// HAQ on a real model: trials of whole models on labelled pictures, layers as each was rounded alone.
import { artifactBytes, type Problem, usageOf } from '../../allocation/index.js';
import { BitlaneError } from '../../errors.js';
import { spreadOver } from '../../evaluation/index.js';
import { type Model, writeModel } from '../../onnx/index.js';
import { allocate, type Allocation, type Component, prepareModel } from '../../quantization/index.js';
import type { Perturbations } from '../../significance/index.js';
import { Random } from '../../system/index.js';
import { withLearned } from '../../training/index.js';
import { judgeOn } from '../judge.js';
import { haqLayers } from '../search/haq-layers.js';
import { searchBits, withinBudget } from '../search/haq.js';
import type { Setting } from '../setting.js';

const WIDTHS = [2, 4, 8] as const;
type Width = (typeof WIDTHS)[number];

export interface TrialOptions {
  /** The FP32 model. */
  readonly source: Model;
  readonly problem: Problem;
  /** Layers, each rounded alone, at every width. */
  readonly perturbations: Perturbations;
  /** What the file may take. */
  readonly modelBytes: number;
  readonly seed: number;
  readonly onEpisode?: (done: number, all: number) => void;
}

/** The weights of a layer at a width, and its bias where that moved, by name. */
const roundedLayer = (
  { name, weight, bias }: Component,
  width: Width,
  { weights }: Perturbations,
): [string, Float32Array][] => {
  const layer = weights.get(name)?.get(width);
  if (layer === undefined) throw new BitlaneError('INTERNAL', `${name} was not rounded to ${width} bits`);
  const own: [string, Float32Array] = [weight, layer.weights];
  return bias === undefined || layer.bias === undefined ? [own] : [own, [bias, layer.bias]];
};

/**
 * Searches a bit-width for every layer by trial, rewarded by mAP50 on tuning pictures. Blocks the thread while models run.
 *
 * @throws BitlaneError `BAD_MODEL`, `BAD_DATASET`, the reason of the setting's `signal`
 */
export const searchByTrial = async (setting: Setting, options: TrialOptions): Promise<Allocation> => {
  const { parent, tuning, map, scale, execution, signal } = setting;
  const { source, problem, perturbations, modelBytes, seed, onEpisode } = options;
  const { components } = problem;
  const prepared = prepareModel(source);
  const trial = spreadOver(tuning, scale.trialPictures);
  const random = new Random(seed, 71);
  const allocationOf = (bits: readonly Width[]): Allocation => {
    const byName = new Map(components.map(({ name }, i) => [name, bits[i] ?? 2]));
    return allocate(components, ({ name }) => ({ bits: byName.get(name) ?? 2, execution }));
  };
  const said = (bits: readonly Width[]): number =>
    usageOf(problem, allocationOf(bits)).modelBytes ?? Infinity;
  const { bits } = await searchBits<Width>({
    layers: haqLayers(prepared, components),
    choices: WIDTHS,
    cost: (each) => said(each) / modelBytes,
    evaluate: async (each) => {
      const weights = components.flatMap((component, i) =>
        roundedLayer(component, each[i] ?? 2, perturbations),
      );
      const bytes = writeModel(withLearned(prepared, new Map(weights)));
      return (await judgeOn(parent, bytes, trial, map, signal)).precision.map50;
    },
    episodes: scale.episodes,
    random: () => random.next(),
    ...(signal !== undefined && { signal }),
    ...(onEpisode !== undefined && { onEpisode }),
  });
  // What a problem says of bytes is off by a little: the real file has to fit.
  let chosen = bits.map((width) => WIDTHS.indexOf(width));
  const widths = (indices: readonly number[]): Width[] => indices.map((index) => WIDTHS[index] ?? 2);
  for (let limit = modelBytes; ;) {
    const allocation = allocationOf(widths(chosen));
    const over = (await artifactBytes(source, allocation)) - modelBytes;
    if (over <= 0 || chosen.every((index) => index === 0)) return allocation;
    limit -= over;
    chosen = withinBudget(chosen, (each) => said(widths(each)) <= limit);
  }
};
