// `bitlane scene`: labelled pictures of simulated roads, and a sheet that shows what there is.
import { extname } from 'node:path';
import { LIGHTS, VEHICLE_TYPES, WEATHERS } from '../config/index.js';
import { BitlaneError, messageOf } from '../errors.js';
import { contactSheet, type DataSetSummary, writeDataSet } from '../scene/index.js';
import { writeFileAtomic } from '../system/index.js';
import type { Cli } from './cli.js';
import type { AddCommand } from './commands.js';
import { alignColumns, choice, numberOption } from './values.js';

interface Options {
  readonly out?: string;
  readonly sheet?: string;
  readonly pictures?: string;
  readonly seed?: string;
  readonly site?: string;
  readonly size?: string;
  readonly weather?: string;
  readonly light?: string;
  readonly stride?: string;
  readonly shares?: string;
}

const SEED = { min: 0, max: 4_294_967_295, integer: true } as const;

const sizeOption = (text: string | undefined): { readonly width: number; readonly height: number } => {
  const match = /^(\d{3,4})x(\d{2,4})$/.exec(text ?? '640x384');
  const [width, height] = [Number(match?.[1]), Number(match?.[2])];
  const fits = width >= 128 && width <= 1920 && height >= 96 && height <= 1200;
  if (match !== null && fits && width % 2 === 0 && height % 2 === 0) return { width, height };
  throw new BitlaneError(
    'BAD_USAGE',
    `--size takes even numbers from 128x96 to 1920x1200, like 640x384, not ${JSON.stringify(text)}`,
  );
};

const sharesOption = (text: string): [number, number, number] => {
  const shares = text.split(',').map((share) => (share.trim() === '' ? Number.NaN : Number(share)));
  const [train, val, test] = shares;
  const fits = shares.length === 3 && shares.every((share) => share >= 0 && share <= 1e6);
  if (fits && train !== undefined && val !== undefined && test !== undefined && train > 0) {
    return [train, val, test];
  }
  throw new BitlaneError(
    'BAD_USAGE',
    `--shares takes three numbers, of train, val and test, like 80,10,10, the first above 0, not ${JSON.stringify(text)}`,
  );
};

const textOf = ({ folder, pictures, scenes, objects, unlabelled }: DataSetSummary): string =>
  [
    `${folder}: ${pictures.train} pictures to train, ${pictures.val} to validate, ${pictures.test} to test, of ${scenes} scenes`,
    '',
    ...alignColumns([
      ['type', 'labels'],
      ...VEHICLE_TYPES.map((type) => [type, String(objects[type])]),
      ['too small or hidden', String(unlabelled)],
    ]),
  ].join('\n');

const makeSheet = async (cli: Cli, file: string, seed: number): Promise<void> => {
  const extension = extname(file).toLowerCase();
  if (!['.png', '.jpg', '.jpeg'].includes(extension)) {
    throw new BitlaneError('BAD_USAGE', `--sheet takes a .png or .jpg file, not ${JSON.stringify(file)}`);
  }
  const sheet = await contactSheet(seed, extension === '.png' ? 'png' : 'jpeg');
  try {
    writeFileAtomic(file, sheet);
  } catch (error) {
    throw new BitlaneError('BAD_USAGE', `${file} cannot be written: ${messageOf(error)}`, { cause: error });
  }
  cli.print({ sheet: file, bytes: sheet.length }, () => `${file} (${sheet.length} bytes)`);
};

export const addScene: AddCommand = (program, cli) => {
  program
    .command('scene')
    .description('write labelled pictures of simulated roads (YOLO layout), or a sheet that shows the types')
    .option('--out <dir>', 'write a data set to this folder')
    .option('--sheet <file>', 'write a contact sheet (.png or .jpg) instead')
    .option('--pictures <n>', 'how many pictures (default 200)')
    .option('--seed <n>', 'equal seeds make equal pictures (default 1)')
    .option('--site <n>', 'one place for all pictures (default: many)')
    .option('--size <WxH>', 'pixels of a picture (default 640x384)')
    .option('--weather <weather>', `one weather for all pictures: ${WEATHERS.join(', ')} (default: all)`)
    .option('--light <light>', `one light for all pictures: ${LIGHTS.join(', ')} (default: all)`)
    .option('--stride <s>', 'seconds between two pictures of a scene (default 2.5)')
    .option('--shares <t,v,t>', 'how many scenes train, val and test get, one to another (default 80,10,10)')
    .option('--json', 'print what was written as one JSON document')
    .addHelpText('after', '\nExample:\n  bitlane scene --out ./road --pictures 2000 --seed 7')
    .action(
      cli.action(async (options: Options) => {
        const seed = numberOption('--seed', options.seed, SEED, 1);
        if (options.sheet !== undefined) return makeSheet(cli, options.sheet, seed);
        if (options.out === undefined) {
          throw new BitlaneError('BAD_USAGE', 'name a folder for the pictures with --out, or a --sheet');
        }
        const pictures = numberOption(
          '--pictures',
          options.pictures,
          { min: 1, max: 1e6, integer: true },
          200,
        );
        const site = numberOption('--site', options.site, SEED, undefined);
        const stride = numberOption('--stride', options.stride, { min: 0.1, max: 600 }, undefined);
        const { weather, light } = options;
        const bar = cli.progress('rendering', pictures, 'pictures');
        let summary: DataSetSummary;
        try {
          summary = await writeDataSet({
            folder: options.out,
            pictures,
            seed,
            ...sizeOption(options.size),
            ...(weather !== undefined && { weather: choice('--weather', weather, WEATHERS) }),
            ...(light !== undefined && { light: choice('--light', light, LIGHTS) }),
            ...(site !== undefined && { site }),
            ...(stride !== undefined && { strideSeconds: stride }),
            ...(options.shares !== undefined && { shares: sharesOption(options.shares) }),
            signal: cli.signal,
            onProgress: (done) => bar.update(done),
          });
        } finally {
          bar.stop();
        }
        cli.print(summary, () => textOf(summary));
      }),
    );
};
