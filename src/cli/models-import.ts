// `bitlane models import`: an artifact from a bare ONNX file.
import { existsSync, readFileSync, statSync } from 'node:fs';
import type { Command } from 'commander';
import {
  type ImportedModel,
  importModel,
  type ModelHints,
  ModelProbe,
  writeImported,
} from '../detector/index.js';
import { BitlaneError } from '../errors.js';
import type { Manifest } from '../registry/index.js';
import { listModels } from '../daemon/index.js';
import { ask } from './ask.js';
import type { Cli } from './cli.js';
import { install } from './install.js';
import { look } from './offline.js';
import { findPlace, type Place } from './place.js';
import { choice, listOption, numberOption } from './values.js';

const HEADS = ['yolox', 'yolov8', 'end-to-end', 'gfl'] as const;
const MAX_NAMES_BYTES = 2 ** 20;

interface Options {
  readonly head: string;
  readonly names: string;
  readonly name?: string;
  readonly input?: string;
  readonly colour?: string;
  readonly mean?: string;
  readonly scale?: string;
  readonly letterbox?: string;
  readonly pad?: string;
  readonly strides?: string;
  readonly output?: readonly string[];
  readonly boxes?: string;
  readonly cellOffset?: string;
  readonly licence?: string;
  readonly source?: string;
  readonly out?: string;
  readonly state?: string;
  readonly config?: string;
}

const badUsage = (message: string): BitlaneError => new BitlaneError('BAD_USAGE', message);

/** `a,b,c`, or the lines of a file. */
const namesOf = (text: string): string[] => {
  const stats = existsSync(text) ? statSync(text) : undefined;
  if (stats === undefined) {
    if (/[/\\]|\.(txt|names)$/.test(text)) throw badUsage(`--names: ${text} does not exist`);
    return listOption(text);
  }
  if (!stats.isFile() || stats.size > MAX_NAMES_BYTES) {
    throw badUsage(
      `--names: ${text} is no file of at most ${MAX_NAMES_BYTES} bytes with a class name a line`,
    );
  }
  return readFileSync(text, 'utf8')
    .split(/\r?\n/)
    .map((line) => line.trim())
    .filter((line) => line !== '');
};

const sizeOf = (text: string): { width: number; height: number } => {
  const match = /^(\d{1,5})(?:x(\d{1,5}))?$/i.exec(text);
  if (match === null) throw badUsage(`--input takes a size such as 416x416, not ${JSON.stringify(text)}`);
  const width = Number(match[1]);
  return { width, height: match[2] === undefined ? width : Number(match[2]) };
};

/** `0.5` or `1/255`, once or for each of three channels. */
const three = (option: string, text: string): [number, number, number] => {
  const values = listOption(text).map((part) => {
    const [value = '', ...divisors] = part.split('/');
    const rule = { min: -1e6, max: 1e6 };
    return divisors.reduce(
      (quotient, divisor) => quotient / numberOption(option, divisor, rule, 1),
      numberOption(option, value, rule, 0),
    );
  });
  const [first, second, third, ...rest] = values;
  if (values.every(Number.isFinite) && rest.length === 0 && first !== undefined) {
    if (second === undefined) return [first, first, first];
    if (third !== undefined) return [first, second, third];
  }
  throw badUsage(
    `${option} takes one number or three (0.5 or 1/255,1/255,1/255), not ${JSON.stringify(text)}`,
  );
};

const hintsOf = (options: Options): ModelHints => {
  const { input, colour, mean, scale, letterbox, pad, strides, output, boxes, cellOffset } = options;
  const names = namesOf(options.names);
  if (names.length === 0) throw badUsage('--names gives no class name');
  const stride = { min: 1, max: 256, integer: true };
  return {
    head: choice('--head', options.head, HEADS),
    names,
    ...(input !== undefined && sizeOf(input)),
    ...(colour !== undefined && { colourOrder: choice('--colour', colour, ['rgb', 'bgr']) }),
    ...(mean !== undefined && { mean: three('--mean', mean) }),
    ...(scale !== undefined && { scale: three('--scale', scale) }),
    ...(letterbox !== undefined && {
      letterbox: choice('--letterbox', letterbox, ['top-left', 'centre', 'stretch']),
    }),
    ...(pad !== undefined && { pad: numberOption('--pad', pad, { min: 0, max: 255, integer: true }, 0) }),
    ...(strides !== undefined && {
      strides: listOption(strides).map((part) => numberOption('--strides', part, stride, 8)),
    }),
    ...(output !== undefined && { outputs: [...output] }),
    ...(boxes !== undefined && { boxes: choice('--boxes', boxes, ['raw', 'decoded']) }),
    ...(cellOffset !== undefined && {
      cellOffset: choice('--cell-offset', cellOffset, ['0', '0.5']) === '0' ? 0 : 0.5,
    }),
  };
};

const textOf = (model: ImportedModel, where: string, active: boolean, kept: string | undefined): string => {
  const { manifest, inferenceMs } = model;
  const { input, head, classes } = manifest.detector;
  return [
    `${kept ?? manifest.name} is artifact ${manifest.id.slice(0, 12)}${active ? ', and active' : ''}`,
    ...(kept === undefined
      ? []
      : [`  It was installed already and keeps that name: ${kept}, not ${manifest.name}.`]),
    `  ${where}`,
    `  input    ${input.width}x${input.height} ${input.colourOrder}, ${input.letterbox}, pad ${input.pad}`,
    `  head     ${head.type}, ${classes.length} ${classes.length === 1 ? 'class' : 'classes'}`,
    `  one run  ${inferenceMs.toFixed(1)} ms on a grey picture, one thread`,
    'Compare it with its training pipeline before you trust it: `bitlane eval` tells whether colours and scale are right.',
  ].join('\n');
};

/**
 * A model that is installed keeps its name: it is one artifact, whatever the file is called.
 *
 * @returns its name, where it differs from the one of the import
 * @throws BitlaneError `BAD_USAGE` when another one was asked for with `--name`
 */
const standingName = async (
  cli: Cli,
  place: Place,
  { id, name }: Manifest,
  options: Options,
): Promise<string | undefined> => {
  const { models } =
    (options.state === undefined ? await ask(cli, place, 'model/list') : undefined) ??
    (await look(cli, place, listModels));
  const standing = models.find((model) => model.id === id)?.name;
  if (standing === undefined || standing === name) return undefined;
  if (options.name === undefined) return standing;
  throw badUsage(
    `this model is installed already, as ${standing} (${id.slice(0, 12)}), and a model has one name: import it without --name, or remove it first (bitlane models remove)`,
  );
};

/** Adds `import` to the `models` command. */
export const addModelsImport = (models: Command, cli: Cli): void => {
  models
    .command('import')
    .description('make an artifact from a bare ONNX file: looks at it, tries it, installs it')
    .argument('<file>', 'the ONNX file')
    .requiredOption('--head <type>', HEADS.join(', '))
    .requiredOption('--names <names>', "class names in the model's order: a,b,c, or a file with one a line")
    .option(
      '--name <name>',
      "the artifact's name (default: the file's); one that is installed keeps its name",
    )
    .option('--input <size>', 'WxH, for a model that takes pictures of any size')
    .option('--colour <order>', 'rgb or bgr (default: as the head is usually trained, like all below)')
    .option('--mean <values>', 'what is subtracted from pixels of 0 to 255: one number, or three')
    .option('--scale <values>', 'what they are then multiplied by: 1/255, or three')
    .option('--letterbox <place>', 'top-left, centre or stretch')
    .option('--pad <value>', 'pixels around the picture, 0 to 255')
    .option('--strides <list>', 'such as 8,16,32')
    .option('--output <names...>', "outputs to read, in the head's order (default: found by their shapes)")
    .option('--boxes <kind>', 'yolox: raw or decoded')
    .option('--cell-offset <x>', 'gfl: 0 or 0.5')
    .option('--licence <licence>', 'the licence of the weights')
    .option('--source <source>', 'where the weights come from')
    .option('--out <dir>', 'write an artifact folder there instead of installing it')
    .option('--state <dir>', 'the state folder, instead of the one in the configuration')
    .option(
      '--config <file>',
      "the daemon's configuration (default: /etc/bitlane/bitlane.yaml where it exists)",
    )
    .option('--json', 'print one JSON document')
    .addHelpText(
      'after',
      '\nExample:\n  bitlane models import yolox_nano.onnx --head yolox --names coco.names --out ./yolox-nano',
    )
    .action(
      cli.action(async (options: Options, file: string) => {
        const hints = hintsOf(options);
        const place = findPlace(options);
        const { name, licence, source, out } = options;
        const probe = new ModelProbe({ signal: cli.signal });
        const bar = cli.progress('importing', 2, 'steps');
        try {
          const model = await importModel(
            {
              file,
              hints,
              ...(name !== undefined && { name }),
              origin: { ...(source !== undefined && { source }), ...(licence !== undefined && { licence }) },
            },
            probe,
          );
          bar.update(1);
          const kept =
            out === undefined ? await standingName(cli, place, model.manifest, options) : undefined;
          // Before this process becomes another user, who may not end it.
          await probe.stop();
          const { artifact, active, notices } =
            out === undefined
              ? await install(cli, place, model, options.state === undefined)
              : { artifact: await writeImported(model, out), active: false, notices: [] };
          bar.update(2);
          bar.stop();
          for (const notice of notices) cli.log.warn(notice);
          const { id, modelPath } = artifact;
          const manifest = kept === undefined ? artifact.manifest : { ...artifact.manifest, name: kept };
          cli.print(
            { id, name: manifest.name, model: modelPath, active, inferenceMs: model.inferenceMs, manifest },
            () => textOf(model, modelPath, active, kept),
          );
        } finally {
          bar.stop();
          await probe.stop();
        }
      }),
    );
};
