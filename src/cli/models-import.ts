// `bitlane models import`: an artifact from a bare ONNX file, or one that is there already.
import { readFileSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import {
  type ImportedModel,
  importModel,
  ModelProbe,
  tryArtifact,
  writeImported,
} from '../detector/index.js';
import { BitlaneError } from '../errors.js';
import { type Manifest, readArtifactFolder } from '../registry/index.js';
import { listModels } from '../daemon/index.js';
import { ask } from './ask.js';
import type { Cli } from './cli.js';
import { HEADS, type HintOptions, hintsOf } from './import-hints.js';
import { install } from './install.js';
import { look } from './offline.js';
import { findPlace, type Place } from './place.js';

interface Options extends HintOptions {
  readonly name?: string;
  readonly licence?: string;
  readonly source?: string;
  readonly out?: string;
  readonly state?: string;
  readonly config?: string;
}

const badUsage = (message: string): BitlaneError => new BitlaneError('BAD_USAGE', message);

/** Options that say nothing of the model itself; all others are said by a manifest. */
const NOT_ABOUT_IT: readonly string[] = ['name', 'out', 'state', 'config', 'json'];

/**
 * An artifact as it is: with its parent, its allocation and what was measured.
 * @throws BitlaneError `BAD_USAGE` for an option that says what its manifest says; `BAD_MODEL` for one that is broken or does not run
 */
const readFolder = async (folder: string, options: Options, probe: ModelProbe): Promise<ImportedModel> => {
  const given = Object.keys(options).find((name) => !NOT_ABOUT_IT.includes(name));
  if (given !== undefined) {
    const option = given.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
    throw badUsage(`--${option} is for a bare ONNX file: ${folder} is an artifact, whose manifest says it`);
  }
  const artifact = await readArtifactFolder(resolve(folder));
  const inferenceMs = await tryArtifact(artifact, probe);
  const { name } = options;
  return {
    bytes: new Uint8Array(readFileSync(artifact.modelPath)),
    manifest: name === undefined ? artifact.manifest : { ...artifact.manifest, name },
    inferenceMs,
  };
};

const readBare = (file: string, options: Options, probe: ModelProbe): Promise<ImportedModel> => {
  const { name, licence, source } = options;
  return importModel(
    {
      file,
      hints: hintsOf(options),
      ...(name !== undefined && { name }),
      origin: { ...(source !== undefined && { source }), ...(licence !== undefined && { licence }) },
    },
    probe,
  );
};

const textOf = (
  model: ImportedModel,
  isBare: boolean,
  where: string,
  active: boolean,
  kept: string | undefined,
): string => {
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
    ...(isBare
      ? [
          'Compare it with its training pipeline before you trust it: `bitlane eval` tells whether colours and scale are right.',
        ]
      : []),
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
    .description(
      'install a model: an artifact folder as it is, or the artifact of a bare ONNX file; looks at it, tries it',
    )
    .argument('<model>', 'an ONNX file, or an artifact folder (as `train`, `finetune` and --out write them)')
    .option('--head <type>', `of an ONNX file: ${HEADS.join(', ')}`)
    .option(
      '--names <names>',
      "of an ONNX file: class names in the model's order: a,b,c, or a file with one a line",
    )
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
      '\nExample:\n  bitlane models import yolox_nano.onnx --head yolox --names coco.names --out ./yolox-nano\n  bitlane models import ./finetuned',
    )
    .action(
      cli.action(async (options: Options, file: string) => {
        const isBare = statSync(file, { throwIfNoEntry: false })?.isDirectory() !== true;
        const place = findPlace(options);
        const { out } = options;
        const probe = new ModelProbe({ signal: cli.signal });
        const bar = cli.progress('importing', 2, 'steps');
        try {
          const model = await (isBare ? readBare : readFolder)(file, options, probe);
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
            () => textOf(model, isBare, modelPath, active, kept),
          );
        } finally {
          bar.stop();
          await probe.stop();
        }
      }),
    );
};
