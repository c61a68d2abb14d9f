// `bitlane models verify`: every byte of artifacts, and one run of each.
import { existsSync } from 'node:fs';
import type { Command } from 'commander';
import { findModel } from '../daemon/index.js';
import { ModelProbe, tryArtifact } from '../detector/index.js';
import { asBitlaneError, type BitlaneError } from '../errors.js';
import { type Registry, resolveModel } from '../registry/index.js';
import type { Cli } from './cli.js';
import { look } from './offline.js';
import { findPlace, type Place, type PlaceOptions } from './place.js';

type Verified =
  | { readonly ok: true; readonly id: string; readonly name: string; readonly inferenceMs: number }
  | { readonly ok: false; readonly model: string; readonly error: BitlaneError };

const isPath = (wanted: string): boolean => /[/\\]|\.onnx$/i.test(wanted) || existsSync(wanted);

const verify = async (
  wanted: string,
  place: Place,
  registry: Registry,
  probe: ModelProbe,
): Promise<Verified> => {
  try {
    const artifact = isPath(wanted)
      ? await resolveModel(wanted, place)
      : await registry.verify(await findModel(registry, wanted));
    const inferenceMs = await tryArtifact(artifact, probe);
    return { ok: true, id: artifact.id, name: artifact.manifest.name, inferenceMs };
  } catch (error) {
    return { ok: false, model: wanted, error: asBitlaneError(error) };
  }
};

const lineOf = ({ name, id, inferenceMs }: Verified & { ok: true }): string =>
  `${name} (${id.slice(0, 12)}) is whole and runs: ${inferenceMs.toFixed(1)} ms on a grey picture`;

const textOf = (all: readonly Verified[]): string => {
  const good = all.flatMap((model) => (model.ok ? [lineOf(model)] : []));
  if (all.length === 0) return 'No model is installed.';
  return all.length === 1
    ? good.join('\n')
    : [...good, `${good.length} of ${all.length} models are whole and run.`].join('\n');
};

/** Adds `verify` to the `models` command. */
export const addModelsVerify = (models: Command, cli: Cli): void => {
  models
    .command('verify')
    .description('check every byte of artifacts, and run each once')
    .argument(
      '[models...]',
      'ids or names of installed ones, artifact folders, .onnx files with their manifests; every installed one when left out',
    )
    .option('--state <dir>', 'the state folder, instead of the one in the configuration')
    .option(
      '--config <file>',
      "the daemon's configuration (default: /etc/bitlane/bitlane.yaml where it exists)",
    )
    .option('--json', 'print one JSON document')
    .addHelpText(
      'after',
      '\nExamples:\n  bitlane models verify\n  bitlane models verify 695e750a5d57 ./yolox-nano',
    )
    .action(
      cli.action(async (options: PlaceOptions, named: readonly string[]) => {
        const place = findPlace(options);
        const probe = new ModelProbe({ signal: cli.signal });
        const all = await look(cli, place, async (registry) => {
          const wanted = named.length > 0 ? named : (await registry.list()).map(({ id }) => id);
          const bar = cli.progress('verifying', wanted.length, 'models');
          const done: Verified[] = [];
          try {
            for (const model of wanted) {
              done.push(await verify(model, place, registry, probe));
              cli.signal.throwIfAborted();
              bar.update(done.length);
            }
            return done;
          } finally {
            bar.stop();
            await probe.stop();
          }
        });
        const failed = all.flatMap((model) => (model.ok ? [] : [model]));
        const document = {
          ok: failed.length === 0,
          models: all.map((model) =>
            model.ok ? model : { ...model, error: { code: model.error.code, message: model.error.message } },
          ),
        };
        if (cli.json || all.length !== 1 || failed.length === 0) cli.print(document, () => textOf(all));
        for (const { error } of failed) cli.fail(error);
      }),
    );
};
