// The loop from its first frame to a committed model, judged on pictures that neither it nor anybody who made it has seen.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type AdaptationRecord, compareModels } from '../../../src/adaptation/index.js';
import { mapClasses, openDataSet, type Interval } from '../../../src/evaluation/index.js';
import { type Artifact, Registry } from '../../../src/registry/index.js';
import { parsePairs } from '../../../src/significance/index.js';
import { census, type Figure } from '../lib.js';
import { installUniform, shuffled, Site, type Width } from './site.js';

export interface EndToEndOptions {
  readonly name: 'labelled' | 'labelFree';
  readonly stateDir: string;
  readonly modelPath: string;
  readonly data: string;
  readonly bits: Width;
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

/** Judges what serves in the end against what served in the beginning, on the validation split. */
const judged = async (
  { name, data, stateDir }: EndToEndOptions,
  uniform: Artifact,
  record: AdaptationRecord,
): Promise<EndToEnd> => {
  const serves = record.outcome === 'committed' && record.candidate !== null ? record.candidate : uniform.id;
  const valid = openDataSet(data, { split: 'val' });
  const map = mapClasses(uniform.manifest.detector.classes, valid.classes);
  const pairs = parsePairs(PAIRS, map.classes);
  const after = await artifactOf(stateDir, serves);
  const compared = await compareModels(uniform, after, { dataSet: valid, map, pairs });
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
      census(`${name}.budgetMet`, 'adaptations', isMet ? 1 : 0, 1),
      census(`${name}.committed`, 'adaptations', record.outcome === 'committed' ? 1 : 0, 1),
    ],
    about: {
      before: { ...before, confusion: before.confusion.counts },
      after: { ...compared.after, confusion: compared.after.confusion.counts },
      bytes: { uniform: uniform.manifest.modelBytes, after: after.manifest.modelBytes },
      refused: candidate,
      record,
    },
  };
};

interface Streamed {
  readonly shown: number;
  readonly detected: number;
  readonly stored: number;
  readonly said: Record<string, number>;
  readonly uniform: string;
}

/** One adaptation from a stream of single pictures. A state folder in which the stream was seen already is gone on with. */
export const endToEnd = async (options: EndToEndOptions): Promise<EndToEnd> => {
  const { name, stateDir, modelPath, data, bits, fps, labels, seed, say } = options;
  const road = openDataSet(data, { split: 'train' });
  const note = join(stateDir, 'streamed.json');
  let streamed = existsSync(note) ? (JSON.parse(readFileSync(note, 'utf8')) as Streamed) : undefined;
  const shownFolder = join(stateDir, 'shown');
  const shown = road.images.slice(0, options.pictures);
  let uniform: Artifact;
  if (streamed === undefined) {
    say(`the model at uniform ${bits} bits is made`);
    ({ uniform } = await installUniform(stateDir, modelPath, road, bits));
    shuffled(shown, shownFolder, seed);
  } else uniform = await artifactOf(stateDir, streamed.uniform);
  const site = new Site({
    stateDir,
    shown: shownFolder,
    fps,
    road,
    classes: uniform.manifest.detector.classes,
    adaptation: {
      budget: { modelBytes: uniform.manifest.modelBytes },
      watch: { seconds: 20 },
      ...options.adaptation,
    },
    examples: EXAMPLES,
    ...(options.nice !== undefined && { nice: options.nice }),
    say,
  });
  await site.start();
  let record: AdaptationRecord;
  try {
    if (streamed === undefined) {
      say(`the camera shows ${shown.length} pictures`);
      await site.watch(shown.length);
      const { stored, said } = await site.label(labels, seed);
      say(`${stored} hard examples; the operator said ${JSON.stringify(said)}`);
      streamed = { shown: shown.length, detected: site.detected, stored, said, uniform: uniform.id };
      writeFileSync(note, JSON.stringify(streamed));
    }
    // One that was under way when the run before was ended goes on by itself.
    if ((await site.state()).status === 'idle') await site.call('adapt/start');
    record = await site.follow();
    say(`${record.outcome}: ${record.reason}`);
  } finally {
    await site.stop();
  }
  const { received = 0, done = 0, dropped = 0, skipped = 0 } = site.counters ?? {};
  const lost = Math.max(0, received - done - dropped - skipped - UNDER_WAY);
  const result = await judged(options, uniform, record);
  return {
    figures: [...result.figures, census(`${name}.framesLost`, 'frames', lost, received)],
    about: { ...result.about, streamed, frames: site.counters },
  };
};
