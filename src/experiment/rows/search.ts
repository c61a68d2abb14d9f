// Searches for a bit-width for every layer or filter, all within the bytes of the same uniform model, and what each took.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import {
  artifactMeasure,
  type Checkpoints,
  chooseCandidate,
  comparable,
  objectivesOf,
  wholeMeter,
} from '../../adaptation/index.js';
import {
  allocateFilters,
  artifactBytes,
  type Budget,
  meetBudget,
  type Met,
  type ObjectiveName,
  type Problem,
  problemOf,
  semanticPrices,
} from '../../allocation/index.js';
import { spreadOver } from '../../evaluation/index.js';
import { type Model, readModel, writeModel } from '../../onnx/index.js';
import {
  type Allocation,
  allocationSchema,
  pixelRanges,
  prepareModel,
  quantizeModel,
} from '../../quantization/index.js';
import {
  calibrationOf,
  filterMapSchema,
  labelledPictures,
  measureFilterMap,
  measureSignificance,
  type MeasuredSignificance,
  type SignificanceOptions,
  type SignificanceMap,
  significanceSchema,
} from '../../significance/index.js';
import type { Setting } from '../setting.js';
import type { Search } from './row.js';
import { searchByTrial } from './trial.js';
import { uniformBits } from './uniform.js';

const WIDTHS = [2, 4, 8] as const;
/** What is not proved after so many nodes is taken with its gap; seconds would make it a matter of the machine. */
const SOLVER = { nodes: 4_000, seconds: 600 } as const;

const foundSchema = z.strictObject({
  allocation: allocationSchema,
  /** Of the search alone, what it was given by others included. */
  seconds: z.number().nonnegative(),
});
export type Found = z.output<typeof foundSchema>;

const mapSchema = z.strictObject({
  map: significanceSchema,
  /** By step. */
  seconds: z.record(z.string(), z.number()),
});
type Mapped = z.output<typeof mapSchema>;

const filtersSchema = z.strictObject({ map: filterMapSchema, seconds: z.number() });

const CLASSES_STEPS = ['finding objects', 'rounding', 'measuring'];

/** Steps of measuring the map by layer that a search has a use for. */
const STEPS_OF: Readonly<Record<Exclude<Search, 'paperFilters'>, readonly string[]>> = {
  relativeWeightError: ['rounding'],
  hawq: ['rounding', 'information'],
  haq: ['rounding'],
  fisher: ['rounding', 'information'],
  paperLayers: CLASSES_STEPS,
  product: CLASSES_STEPS,
};

const now = (): number => performance.now() / 1000;

/** All searches of a setting; what one of them measured serves the others. */
export class Searches {
  readonly #setting: Setting;
  readonly #kept: Checkpoints;
  readonly #source: Model;
  readonly #onStep: (step: string, done: number, all: number) => void;
  #measured: MeasuredSignificance | undefined;
  #budget: Promise<Budget> | undefined;

  /** @param kept keyed by all that the setting says */
  constructor(
    setting: Setting,
    kept: Checkpoints,
    onStep: (step: string, done: number, all: number) => void = () => undefined,
  ) {
    this.#setting = setting;
    this.#kept = kept;
    this.#source = readModel(setting.parent.modelPath);
    this.#onStep = onStep;
  }

  /** Bytes that every search stays within: those of a uniform model of 4 bits, whose file is built once. */
  budget(): Promise<Budget> {
    return (this.#budget ??= artifactBytes(
      this.#source,
      uniformBits(prepareModel(this.#source), 4, this.#setting.execution),
    ).then((modelBytes) => ({ modelBytes })));
  }

  /** The map by layer, where a row has needed it. */
  get knownMap(): SignificanceMap | undefined {
    return this.#kept.kept('map', mapSchema)?.map;
  }

  /** The map by layer, with what its steps took. */
  map(): Promise<Mapped> {
    return this.#kept.once('map', mapSchema, async () => {
      const seconds: Record<string, number> = {};
      let [step, since] = ['', now()];
      const turn = (next: string): void => {
        if (next === step) return;
        if (step !== '') seconds[step] = (seconds[step] ?? 0) + now() - since;
        [step, since] = [next, now()];
      };
      this.#measured = await measureSignificance({
        ...(await this.#options()),
        baselines: true,
        onProgress: (at, done, all) => {
          turn(at);
          this.#onStep(at, done, all);
        },
      });
      turn('end');
      return { map: this.#measured.map, seconds };
    });
  }

  /** An allocation, and the seconds that it took to find. */
  async find(search: Search, seed: number): Promise<Found> {
    const step = search === 'haq' ? `search-haq-${seed}` : `search-${search}`;
    return this.#kept.once(step, foundSchema, async () => {
      const [before, since] = [await this.#given(search), now()];
      const allocation = await this.#search(search, seed);
      return { allocation, seconds: before + now() - since };
    });
  }

  /** Seconds of what a search takes from a map. */
  async #given(search: Search): Promise<number> {
    // Channels are measured from gradients, in a map of their own.
    if (search === 'paperFilters') return (await this.#filters()).seconds;
    const { seconds } = await this.map();
    return STEPS_OF[search].reduce((sum, name) => sum + (seconds[name] ?? 0), 0);
  }

  async #search(search: Search, seed: number): Promise<Allocation> {
    switch (search) {
      case 'haq':
        return this.#byTrial(seed);
      case 'paperFilters':
        return this.#byFilter();
      case 'product':
        return this.#product();
      case 'paperLayers':
        return (await this.#met('paperPure')).allocation;
      case 'relativeWeightError':
      case 'hawq':
      case 'fisher':
        return (await this.#met(search)).allocation;
    }
  }

  async #options(): Promise<SignificanceOptions> {
    const { parent, tuning, map, pairs, scale, reduceRange, folder, processes, signal } = this.#setting;
    const pictures = spreadOver(tuning, scale.searchPictures);
    const cache = join(folder, 'significance');
    mkdirSync(cache, { recursive: true });
    return {
      model: { id: parent.id, path: parent.modelPath, detector: parent.manifest.detector },
      data: { name: tuning.path, split: tuning.split },
      pictures: await labelledPictures(pictures, map),
      space: { classes: map.classes, fromModel: map.fromModel },
      pairs,
      bits: WIDTHS,
      rounding: 'gptq',
      reduceRange,
      calibration: calibrationOf(tuning, parent.manifest.detector.input, scale.calibrationPictures),
      cache,
      processes,
      ...(signal !== undefined && { signal }),
    };
  }

  async #problem(objective: ObjectiveName): Promise<Problem> {
    const { map } = await this.map();
    return problemOf(this.#source, { objective, map, execution: this.#setting.execution, widths: WIDTHS });
  }

  async #met(objective: ObjectiveName): Promise<Met> {
    const { parent, signal } = this.#setting;
    const budget = await this.budget();
    return meetBudget(await this.#problem(objective), budget, {
      measure: artifactMeasure(parent, { budget, profile: undefined, isRun: false, signal }),
      ...SOLVER,
      ...(signal !== undefined && { signal }),
    });
  }

  #filters(): Promise<z.output<typeof filtersSchema>> {
    return this.#kept.once('filters', filtersSchema, async () => {
      const since = now();
      const measured = await measureFilterMap({ ...(await this.#options()), onProgress: this.#onStep });
      return { map: measured.map, seconds: now() - since };
    });
  }

  async #byFilter(): Promise<Allocation> {
    const { execution, signal } = this.#setting;
    const { map } = await this.#filters();
    const found = await allocateFilters(this.#source, {
      map,
      objective: 'paperPure',
      execution,
      budget: await this.budget(),
      ...(signal !== undefined && { signal }),
    });
    return found.allocation;
  }

  /** As `bitlane adapt` does: allocations by a few objectives, rounded, held against each other as whole models. */
  async #product(): Promise<Allocation> {
    const { parent, tuning, map: classes, scale, signal } = this.#setting;
    const { map } = await this.map();
    const observe = wholeMeter(parent, map, {
      dataSet: spreadOver(tuning, scale.trialPictures),
      map: classes,
      ...(signal !== undefined && { signal }),
    });
    const problem = await this.#problem('semantic');
    const { allocated } = await chooseCandidate({
      objectives: objectivesOf('semantic'),
      allocate: (objective) => this.#met(objective),
      measure: async (_objective, allocation) => comparable(await observe(await this.#rounded(allocation))),
      prices: () => semanticPrices(map, problem.components),
    });
    return allocated.allocation;
  }

  async #rounded(allocation: Allocation): Promise<Uint8Array> {
    const { parent, tuning, scale, reduceRange, signal } = this.#setting;
    const { feeds } = calibrationOf(tuning, parent.manifest.detector.input, scale.calibrationPictures);
    const made = await quantizeModel(this.#source, {
      allocation,
      feeds,
      rounding: 'gptq',
      reduceRange,
      knownRanges: pixelRanges(parent.manifest.detector.input),
      ...(signal !== undefined && { signal }),
    });
    return writeModel(made.model);
  }

  async #byTrial(seed: number): Promise<Allocation> {
    const { modelBytes = 0 } = await this.budget();
    const { perturbations } = await this.#rememberedMap();
    return searchByTrial(this.#setting, {
      source: this.#source,
      problem: await this.#problem('uniform'),
      perturbations,
      modelBytes,
      seed,
      onEpisode: (done, all) => this.#onStep('HAQ', done, all),
    });
  }

  /** What was measured, from its cache where a run before this one measured it. */
  async #rememberedMap(): Promise<MeasuredSignificance> {
    await this.map();
    return (this.#measured ??= await measureSignificance(await this.#options()));
  }
}
