// `npm run experiment`: both parts of the paper's experiment, one after the other, in a folder that a run which was ended goes on in.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { asBitlaneError, BitlaneError } from '../src/errors.js';
import {
  COMPARED_ROWS,
  experimentMarkdown,
  type ExperimentResult,
  resultSchema,
} from '../src/experiment/index.js';
import { packageRoot } from '../src/system/index.js';
import { dataPath } from './bench/lib.js';
import { shippedModel } from './demo/place.js';
import { sharedData } from './test-data.js';
import { COCO_CLASSES } from './yolox-nano.js';

const USAGE = `Usage: npm run experiment -- --work DIR [--part scene|highway] [--quick] [--rows IDS] [--times] [--markdown FILE]

The paper's comparison (a) on the shipped model and the simulated road, (b) on YOLOX-nano, fine-tuned on highway/train, judged on
highway/valid. Hours; what was measured is kept in DIR, and a run that was ended goes on there.
  --work DIR       pictures, models and results
  --part NAME      one of the two only
  --quick          a small version in minutes
  --rows IDS       only these rows (bitlane experiment --list names them)
  --times          when all rows are there, take their times anew: for a machine that was busy before
  --markdown FILE  write the tables into it, below its heading "What came out" (docs/experiment.md)

The highway part needs the test data: BITLANE_TEST_DATA names its folder.`;

const cliScript = join(packageRoot, 'dist', 'src', 'cli', 'main.js');
const say = (text: string): void => void process.stderr.write(`${text}\n`);

/**
 * Pictures of the scene: places of their own, like those of no other set of the project. 160 scenes of 12 pictures to tune on and 125 to
 * judge on: pictures of one scene are alike, and few scenes say little.
 */
const SCENE = { pictures: 3432, shares: '160,125,1', quick: 240, seed: 31 } as const;
const SEEDS = '1,2,3';
const FINE_TUNING_STEPS = '400';
/** Near classes, the same for every model of a part. */
const SCENE_PAIRS = 'sedan:hatchback,sedan:wagon,hatchback:wagon,suv:pickup,van:minibus';
const HIGHWAY_PAIRS = 'car:truck,bus:car,bus:truck';

/** Runs a command of bitlane with its progress on this terminal. */
const bitlane = async (args: readonly string[]): Promise<void> => {
  const child = spawn(process.execPath, [cliScript, ...args], { stdio: ['ignore', 'ignore', 'inherit'] });
  const stop = (): void => void child.kill('SIGTERM');
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, stop);
  const [code] = (await once(child, 'exit')) as [number | null];
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.off(signal, stop);
  if (code !== 0)
    throw new BitlaneError('INTERNAL', `bitlane ${args[0] ?? ''} ended with ${code ?? 'a signal'}`);
};

interface Part {
  readonly name: 'scene' | 'highway';
  readonly title: string;
  /** Arguments of `bitlane experiment`, after what has to be there was made. */
  readonly prepare: (work: string, isQuick: boolean) => Promise<string[]>;
  /** Rows that take all seeds; all where it is left out. */
  readonly repeated?: readonly string[];
}

const scene: Part = {
  name: 'scene',
  title: 'The shipped model on the simulated road',
  prepare: async (work, isQuick) => {
    // One of other pictures is another road.
    const road = join(work, `road-${isQuick ? SCENE.quick : SCENE.pictures}`);
    if (!existsSync(join(road, 'data.yaml'))) {
      const pictures = isQuick ? SCENE.quick : SCENE.pictures;
      const seed = String(SCENE.seed);
      await bitlane([
        ...['scene', '--out', road, '--pictures', String(pictures), '--seed', seed],
        ...(isQuick ? [] : ['--shares', SCENE.shares]),
      ]);
    }
    return [
      ...['--model', shippedModel(), '--data', road, '--pairs', SCENE_PAIRS, '--execution', 'int8'],
      // Pictures are SCENE-PICTURE.jpg.
      ...(isQuick ? [] : ['--places', '-']),
    ];
  },
};

const highway: Part = {
  name: 'highway',
  title: 'YOLOX-nano on highway',
  // A run takes minutes: only what the hypothesis compares is repeated.
  repeated: COMPARED_ROWS,
  prepare: async (work, isQuick) => {
    const data = dataPath(undefined, '--data', 'highway');
    const original = join(work, 'yolox-nano');
    if (!existsSync(original)) {
      const names = join(work, 'coco.names');
      writeFileSync(names, `${COCO_CLASSES.join('\n')}\n`);
      const file = dataPath(undefined, '--model', 'models', 'yolox-nano', 'yolox_nano.onnx');
      await bitlane([
        ...['models', 'import', file, '--head', 'yolox', '--names', names, '--name', 'yolox-nano'],
        ...['--colour', 'bgr', '--letterbox', 'top-left', '--out', original],
      ]);
    }
    const tuned = join(work, 'yolox-nano-highway');
    if (!existsSync(tuned)) {
      const steps = isQuick ? '4' : FINE_TUNING_STEPS;
      // Validated once, at its end: the pictures that rows are judged on choose nothing.
      await bitlane([
        ...['finetune', '--model', original, '--data', data, '--steps', steps, '--validate-every', steps],
        ...['--out', tuned],
      ]);
    }
    return ['--model', tuned, '--data', data, '--pairs', HIGHWAY_PAIRS];
  },
};

/** Undefined where there is none, or one that this version cannot read. */
const readResult = (folder: string): ExperimentResult | undefined => {
  const file = join(folder, 'experiment.json');
  if (!existsSync(file)) return undefined;
  try {
    return resultSchema.parse(JSON.parse(readFileSync(file, 'utf8')));
  } catch {
    say(`${file} is no result of this version: run its part again`);
    return undefined;
  }
};

/** What stands above is written by people. */
const MARK = '## What came out';

/** What stands above the heading that results belong below. */
const headOf = (file: string): string => {
  const before = existsSync(file) ? readFileSync(file, 'utf8') : MARK;
  const at = before.indexOf(MARK);
  if (at < 0) {
    throw new BitlaneError('BAD_USAGE', `${file} has no heading "${MARK}", below which results belong`);
  }
  return before.slice(0, at);
};

const writeBelow = (file: string, text: string): void =>
  writeFileSync(file, `${headOf(file)}${MARK}\n\n${text.replaceAll(/^##/gm, '###')}`);

/** All rows with the first seed, then those that are repeated with the others: what was measured is not measured again. */
const passesOf = ({ repeated }: Part, rows: readonly string[] | undefined, isQuick: boolean): string[][] => {
  const rowsOf = (ids: readonly string[] | undefined): string[] =>
    ids === undefined ? [] : ['--rows', ids.join()];
  if (isQuick) return [rowsOf(rows)];
  const again = repeated === undefined ? rows : repeated.filter((id) => rows?.includes(id) ?? true);
  const first = repeated === undefined ? [] : [rowsOf(rows)];
  return again?.length === 0 ? first : [...first, [...rowsOf(again), '--seeds', SEEDS]];
};

const main = async (): Promise<number> => {
  const { values } = parseArgs({
    options: {
      work: { type: 'string' },
      part: { type: 'string' },
      quick: { type: 'boolean', default: false },
      rows: { type: 'string' },
      times: { type: 'boolean', default: false },
      markdown: { type: 'string' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) {
    say(USAGE);
    return 0;
  }
  if (values.work === undefined) throw new BitlaneError('BAD_USAGE', 'name a folder with --work');
  // A quick run's pictures and models are not those of a full one.
  const work = values.quick ? join(resolve(values.work), 'quick') : resolve(values.work);
  mkdirSync(work, { recursive: true });
  const parts = [scene, highway].filter(({ name }) => values.part === undefined || values.part === name);
  if (parts.length === 0)
    throw new BitlaneError('BAD_USAGE', `--part is scene or highway, not ${values.part ?? ''}`);
  if (values.markdown !== undefined) headOf(values.markdown);
  // What is missing is said before hours of work, not after them.
  if (parts.includes(highway)) {
    const missing = [['highway'], ['models', 'yolox-nano', 'yolox_nano.onnx']].find(
      (name) => sharedData(...name) === undefined,
    );
    if (missing !== undefined) {
      throw new BitlaneError(
        'BAD_USAGE',
        `the highway part needs ${missing.join('/')} of the test data: set BITLANE_TEST_DATA to its folder, or take --part scene`,
      );
    }
  }
  for (const part of parts) {
    say(part.title);
    const args = await part.prepare(work, values.quick);
    const passes = passesOf(part, values.rows?.split(','), values.quick);
    for (const [i, pass] of passes.entries()) {
      await bitlane([
        ...['experiment', ...args, '--out', join(work, part.name), ...pass],
        ...(values.quick ? ['--quick'] : []),
        ...(values.times && i === passes.length - 1 ? ['--times'] : []),
      ]);
    }
  }
  const sections = [scene, highway].flatMap(({ name, title }) => {
    const result = readResult(join(work, name));
    return result === undefined ? [] : [experimentMarkdown(title, result)];
  });
  if (values.markdown !== undefined) writeBelow(values.markdown, sections.join('\n'));
  else say(sections.join('\n'));
  return 0;
};

try {
  process.exitCode = await main();
} catch (thrown) {
  const error = asBitlaneError(thrown);
  say(`experiment: ${error.message}${error.code === 'BAD_USAGE' ? `\n\n${USAGE}` : ''}`);
  process.exitCode = error.isInputError ? 2 : 1;
}
