// The loop: what an adaptation costs the road while it runs, and what it is worth from the first frame to a committed model:
// `npm run bench:adaptation -- --json`.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BitlaneError } from '../../src/errors.js';
import { countOption, dataPath, type Figure, printReport, readOptions, runBench } from './lib.js';
import { drift } from './loop/drift.js';
import { endToEnd } from './loop/end-to-end.js';
import { serving } from './loop/serving.js';
import type { Width } from './loop/site.js';

const values = readOptions({
  json: { type: 'boolean', default: false },
  parts: { type: 'string', default: 'serving,labelled,labelFree,drift' },
  model: { type: 'string' },
  frames: { type: 'string' },
  data: { type: 'string' },
  /** Kept, and gone on with where a stream was seen there already. */
  state: { type: 'string' },
  fps: { type: 'string', default: '5' },
  turns: { type: 'string', default: '6' },
  seconds: { type: 'string', default: '12' },
  /** Of `serving`: the adapter works beside frames, too. */
  beside: { type: 'boolean', default: false },
  bits: { type: 'string', default: '8' },
  /** The budget: the bytes of a uniform model of so many bits. */
  budget: { type: 'string', default: '8' },
  pictures: { type: 'string' },
  seed: { type: 'string', default: '1' },
  /** Priority of the adapter: with 19, as on a device, it gets nothing beside other work. */
  nice: { type: 'string' },
  /** More of the section `adaptation`, as JSON. */
  adaptation: { type: 'string', default: '{}' },
});

const PARTS = ['serving', 'labelled', 'labelFree', 'drift'] as const;
type Part = (typeof PARTS)[number];

const partsOf = (text: string): Part[] =>
  text.split(',').map((name) => {
    const part = PARTS.find((known) => known === name);
    if (part === undefined)
      throw new BitlaneError('BAD_USAGE', `--parts takes ${PARTS.join(', ')}, not ${name}`);
    return part;
  });

const widthOf = (text: string, option: string): Width => {
  const bits = ([2, 4, 8] as const).find((width) => String(width) === text);
  if (bits === undefined) throw new BitlaneError('BAD_USAGE', `${option} takes 2, 4 or 8, not ${text}`);
  return bits;
};

/** Share of the hard examples that an operator labels. */
const LABELLED = 0.1;
/** A site that turns within minutes needs more words to be seen turning. */
const DRIFT_LABELLED = 0.4;
/** What an adaptation takes of these pictures: a tenth of the labels, and three in eight of those, are few to judge by. */
const ADAPTATION = {
  pictures: 400,
  calibrationPictures: 64,
  memoryMb: 6_000,
  minPictures: 10,
  minObjects: 5,
  canaryFrames: 60,
  finetune: { steps: 150 },
};
/** A site that turns is looked at for its bits: what half of them cost on a few labels does not matter here. */
const ROUNDED = { finetune: { steps: 0 }, maxDrop: 0.2 };

const say = (text: string): void => void process.stderr.write(`${text}\n`);

await runBench(async () => {
  const parts = partsOf(values.parts);
  const fps = countOption(values.fps, '--fps');
  const modelPath = dataPath(values.model, '--model', 'models', 'yolox-nano', 'yolox_nano.onnx');
  const data = dataPath(values.data, '--data', 'highway');
  const figures: Figure[] = [];
  const about: Record<string, object> = {};
  const root = values.state ?? mkdtempSync(join(tmpdir(), 'bitlane-loop-'));
  try {
    for (const part of parts) {
      let made;
      if (part === 'serving') {
        made = await serving({
          frames: dataPath(values.frames, '--frames', 'junction-frames'),
          modelPath,
          data,
          fps,
          turns: countOption(values.turns, '--turns'),
          seconds: countOption(values.seconds, '--seconds'),
          beside: values.beside,
        });
      } else if (part === 'drift') {
        made = await drift({
          stateDir: join(root, part),
          modelPath,
          data,
          fps,
          pictures: countOption(values.pictures ?? '400', '--pictures'),
          labels: DRIFT_LABELLED,
          seed: countOption(values.seed, '--seed'),
          ...(values.nice !== undefined && { nice: Number(values.nice) }),
          adaptation: { ...ADAPTATION, ...ROUNDED, ...(JSON.parse(values.adaptation) as object) },
          say,
        });
      } else {
        made = await endToEnd({
          name: part,
          stateDir: join(root, part),
          streamDir: join(root, 'stream'),
          modelPath,
          data,
          bits: widthOf(values.bits, '--bits'),
          budgetBits: widthOf(values.budget, '--budget'),
          fps,
          ...(values.pictures !== undefined && { pictures: countOption(values.pictures, '--pictures') }),
          labels: part === 'labelled' ? LABELLED : 0,
          seed: countOption(values.seed, '--seed'),
          ...(values.nice !== undefined && { nice: Number(values.nice) }),
          adaptation: { ...ADAPTATION, ...(JSON.parse(values.adaptation) as object) },
          say,
        });
      }
      figures.push(...made.figures);
      about[part] = made.about;
    }
    printReport({ bench: 'adaptation', model: modelPath, data: about, figures }, values.json);
  } finally {
    if (values.state === undefined) rmSync(root, { recursive: true, force: true });
  }
});
