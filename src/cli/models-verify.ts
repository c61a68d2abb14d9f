// `bitlane models verify`: every byte of an artifact, and one run of it.
import type { Command } from 'commander';
import { ModelProbe, tryArtifact } from '../detector/index.js';
import { resolveModel } from '../registry/index.js';
import type { Cli } from './cli.js';
import { findPlace, type PlaceOptions } from './place.js';

/** Adds `verify` to the `models` command. */
export const addModelsVerify = (models: Command, cli: Cli): void => {
  models
    .command('verify')
    .description('check every byte of an artifact, and run it once')
    .argument('<model>', 'an artifact folder, an .onnx file with its manifest, or an installed id')
    .option('--state <dir>', 'the state folder, instead of the one in the configuration')
    .option(
      '--config <file>',
      "the daemon's configuration (default: /etc/bitlane/bitlane.yaml where it exists)",
    )
    .option('--json', 'print one JSON document')
    .addHelpText('after', '\nExample:\n  bitlane models verify ./yolox-nano')
    .action(
      cli.action(async (options: PlaceOptions, model: string) => {
        const artifact = await resolveModel(model, findPlace(options));
        const probe = new ModelProbe({ signal: cli.signal });
        try {
          const inferenceMs = await tryArtifact(artifact, probe);
          const { id, manifest } = artifact;
          cli.print(
            { ok: true, id, name: manifest.name, inferenceMs },
            () =>
              `${manifest.name} (${id.slice(0, 12)}) is whole and runs: ${inferenceMs.toFixed(1)} ms on a grey picture`,
          );
        } finally {
          await probe.stop();
        }
      }),
    );
};
