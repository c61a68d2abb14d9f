// The loop from its first frame to a committed model, judged on pictures that neither it nor anybody who made it has seen.
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { type AdaptationRecord, compareModels } from '../../../src/adaptation/index.js';
import { mapClasses, openDataSet, type Interval } from '../../../src/evaluation/index.js';
import { type Artifact, Registry } from '../../../src/registry/index.js';
import { parsePairs } from '../../../src/significance/index.js';
import { writeFileAtomic } from '../../../src/system/index.js';
import { census, type Figure } from '../lib.js';
import { installUniform, shuffled, Site, type Width } from './site.js';

export interface EndToEndOptions {
  readonly name: 'labelled' | 'labelFree';
  readonly stateDir: string;
  /** Where the stream is seen, once for all that goes on from it. */
  readonly streamDir: string;
  readonly modelPath: string;
  readonly data: string;
  /** Of the model that serves in the beginning. */
  readonly bits: Width;
  /** The budget is the bytes of a uniform model of so many bits (default: of the one that serves). */
  readonly budgetBits?: Width;
  readonly fps: number;
  /** Pictures of the stream; all when left out. */
  readonly pictures?: number;
  /** Share of the hard examples that an operator labels. */
  readonly labels: number;
  readonly seed: number;
  /** Of the section `adaptation`, beyond the budget. */
  readonly adaptation: object;
  /** Priority of the adapter. */
  readonly nice?: number;
  readonly say: (text: string) => void;
}

export interface EndToEnd {
  readonly figures: readonly Figure[];
  readonly about: object;
}

/** What `highway` is judged by. */
const PAIRS = 'car:truck,bus:truck,bus:car';
/** With single pictures nothing but the model's own doubt tells what is hard. */
const EXAMPLES = { margin: 0.3 };
/** Two frames may be on their way when the run ends. */
const UNDER_WAY = 2;

const figure = (name: string, unit: string, { value, low, high }: Interval, runs: number): Figure => ({
  name,
  unit,
  value,
  low,
  high,
  runs,
});

const artifactOf = async (stateDir: string, id: string): Promise<Artifact> =>
  new Registry({ stateDir }).get(id);

/** A file in which a stage says what it came to: a run that was ended goes on behind it. */
const once = async <T>(file: string, work: () => Promise<T>): Promise<T> => {
  if (existsSync(file)) return JSON.parse(readFileSync(file, 'utf8')) as T;
  const outcome = await work();
  writeFileAtomic(file, JSON.stringify(outcome));
  return outcome;
};

/** The uniform model that the budget is as large as: the one that serves, or one of fewer bits. */
const rivalOf = async (
  { streamDir, modelPath, data, bits, budgetBits = bits, say }: EndToEndOptions,
  uniform: Artifact,
): Promise<Artifact> => {
  if (budgetBits === bits) return uniform;
  const folder = join(streamDir, `uniform-${budgetBits}`);
  const id = await once(`${folder}.json`, async () => {
    say(`a model at uniform ${budgetBits} bits is made to compare with`);
    const road = openDataSet(data, { split: 'train' });
    return (await installUniform(folder, modelPath, road, budgetBits)).uniform.id;
  });
  return artifactOf(folder, id);
};

/** Judges what serves in the end against the uniform model of the same bytes, on the validation split. */
const judged = async (
  { name, data, stateDir }: EndToEndOptions,
  uniform: Artifact,
  rival: Artifact,
  record: AdaptationRecord,
): Promise<EndToEnd> => {
  const serves = record.outcome === 'committed' && record.candidate !== null ? record.candidate : uniform.id;
  const valid = openDataSet(data, { split: 'val' });
  const map = mapClasses(uniform.manifest.detector.classes, valid.classes);
  const pairs = parsePairs(PAIRS, map.classes);
  const after = await artifactOf(stateDir, serves);
  const compared = await compareModels(rival, after, { dataSet: valid, map, pairs });
  const first =
    rival.id === uniform.id ? compared : await compareModels(uniform, after, { dataSet: valid, map, pairs });
  // Also where it was refused: what the loop made, and what it would have been worth.
  const candidate =
    record.candidate === null || record.candidate === serves
      ? null
      : { id: record.candidate, outcome: record.outcome };
  const { before, map50Change, criticalChange } = compared;
  const { modelBytes = Infinity, latencyMs = Infinity, memoryMb = Infinity } = record.budget;
  const { canary } = record;
  const isMet =
    canary !== null &&
    canary.modelBytes <= modelBytes &&
    canary.p95Ms <= latencyMs &&
    (canary.memoryMb ?? 0) <= memoryMb;
  return {
    figures: [
      figure(`${name}.criticalGain`, 'critical accuracy', criticalChange, before.criticalObjects),
      figure(`${name}.map50Change`, 'mAP50', map50Change, compared.pictures),
      figure(
        `${name}.criticalChangeFromServed`,
        'critical accuracy',
        first.criticalChange,
        first.before.criticalObjects,
      ),
      figure(`${name}.map50ChangeFromServed`, 'mAP50', first.map50Change, first.pictures),
      census(`${name}.budgetMet`, 'adaptations', isMet ? 1 : 0, 1),
      census(`${name}.committed`, 'adaptations', record.outcome === 'committed' ? 1 : 0, 1),
    ],
    about: {
      before: { ...before, confusion: before.confusion.counts },
      served: { ...first.before, confusion: first.before.confusion.counts },
      after: { ...compared.after, confusion: compared.after.confusion.counts },
      bytes: {
        served: uniform.manifest.modelBytes,
        uniform: rival.manifest.modelBytes,
        after: after.manifest.modelBytes,
      },
      refused: candidate,
      record,
    },
  };
};

/** What a stream came to, as its folder keeps it. */
interface Streamed {
  readonly shown: number;
  readonly detected: number;
  /** Artifact id. */
  readonly uniform: string;
  /** Which picture was shown when. */
  readonly frames: readonly (readonly [string, number])[];
}

const siteOf = (
  options: EndToEndOptions,
  stateDir: string,
  uniform: Artifact,
  frames: Streamed['frames'] = [],
  rival = uniform,
): Site =>
  new Site({
    stateDir,
    shown: join(stateDir, 'shown'),
    fps: options.fps,
    road: openDataSet(options.data, { split: 'train' }),
    classes: uniform.manifest.detector.classes,
    frames,
    adaptation: {
      budget: { modelBytes: rival.manifest.modelBytes },
      watch: { seconds: 20 },
      ...options.adaptation,
    },
    examples: EXAMPLES,
    ...(options.nice !== undefined && { nice: options.nice }),
    say: options.say,
  });

/** The model at uniform bits serves beside a road that is shown once, and keeps what it finds hard. */
const stream = (options: EndToEndOptions): Promise<Streamed> =>
  once(join(options.streamDir, 'streamed.json'), async () => {
    const { streamDir, modelPath, data, bits, seed, say } = options;
    rmSync(streamDir, { recursive: true, force: true });
    mkdirSync(streamDir, { recursive: true });
    const road = openDataSet(data, { split: 'train' });
    say(`the model at uniform ${bits} bits is made`);
    const { uniform } = await installUniform(streamDir, modelPath, road, bits);
    const shown = shuffled(road.images.slice(0, options.pictures), join(streamDir, 'shown'), seed);
    const site = siteOf(options, streamDir, uniform);
    await site.start();
    try {
      say(`the camera shows ${shown} pictures`);
      await site.watch(shown);
    } finally {
      await site.stop();
    }
    const { detected, operator } = site;
    return { shown, detected, uniform: uniform.id, frames: operator.frames };
  });

/** One adaptation from what a stream of single pictures left behind. A state folder in which it was begun is gone on with. */
export const endToEnd = async (options: EndToEndOptions): Promise<EndToEnd> => {
  const { name, stateDir, streamDir, labels, seed, say } = options;
  const { frames, ...streamed } = await stream(options);
  const noted = (what: string): string => join(stateDir, `${what}.json`);
  if (!existsSync(noted('labelled'))) {
    rmSync(stateDir, { recursive: true, force: true });
    cpSync(streamDir, stateDir, { recursive: true });
  }
  const uniform = await artifactOf(stateDir, streamed.uniform);
  const rival = await rivalOf(options, uniform);
  const site = siteOf(options, stateDir, uniform, frames, rival);
  const labelled = await once(noted('labelled'), async () => {
    await site.start();
    const said = await site.label(labels, seed);
    say(`${said.stored} hard examples; the operator said ${JSON.stringify(said.said)}`);
    return said;
  });
  const adapted = await once(noted('adapted'), async () => {
    await site.start();
    // One that was under way when the run before was ended goes on by itself.
    if ((await site.state()).status === 'idle') await site.call('adapt/start');
    const record = await site.follow();
    say(`${record.outcome}: ${record.reason}`);
    return { record, counters: site.counters };
  }).finally(() => site.stop());
  const { received = 0, done = 0, dropped = 0, skipped = 0 } = adapted.counters ?? {};
  const lost = Math.max(0, received - done - dropped - skipped - UNDER_WAY);
  const result = await judged(options, uniform, rival, adapted.record);
  return {
    figures: [...result.figures, census(`${name}.framesLost`, 'frames', lost, received)],
    about: { ...result.about, streamed, labelled, frames: adapted.counters },
  };
};
