// `bitlane models list|use|rollback`: asks the running daemon, or works on the registry itself where none runs.
import type { Command } from 'commander';
import { findModel, listModels } from '../daemon/index.js';
import type { CommandResult } from '../telemetry/index.js';
import { ask } from './ask.js';
import type { Cli } from './cli.js';
import { change, look } from './offline.js';
import { findPlace, type PlaceOptions } from './place.js';

const table = ({ active, previous, factory, models }: CommandResult<'model/list'>): string => {
  if (models.length === 0) {
    return 'No model is installed. Make one: bitlane models import FILE.onnx --head yolox --names names.txt';
  }
  const role = (id: string): string =>
    [id === active && 'active', id === previous && 'previous', id === factory && 'factory']
      .filter((name) => name !== false)
      .join(', ');
  const width = Math.max(...models.map(({ name }) => name.length));
  return models
    .map(
      ({ id, name, head, model_bytes: bytes, classes }) =>
        `${id.slice(0, 12)}  ${name.padEnd(width)}  ${head.padEnd(10)}  ${(bytes / 1e6).toFixed(1).padStart(6)} MB  ${String(classes.length).padStart(3)} classes  ${role(id)}`,
    )
    .join('\n');
};

type Options = PlaceOptions & { readonly json?: boolean };

const withPlace = (command: Command): Command =>
  command
    .option(
      '--config <file>',
      "the daemon's configuration (default: /etc/bitlane/bitlane.yaml where it exists)",
    )
    .option('--state <dir>', 'the state folder, instead of the one in the configuration')
    .option('--json', 'print one JSON document');

/** Adds `list`, `use` and `rollback` to the command `models`. */
export const addModelsUse = (models: Command, cli: Cli): void => {
  withPlace(models.command('list').description('show the installed models'))
    .addHelpText('after', '\nExample:\n  bitlane models list')
    .action(
      cli.action(async (options: Options) => {
        const place = findPlace(options);
        const list =
          (options.state === undefined ? await ask(cli, place, 'model/list') : undefined) ??
          (await look(cli, place, listModels));
        cli.print(list, () => table(list));
      }),
    );

  withPlace(
    models
      .command('use <model>')
      .description('swap an installed model in: with canary and roll-back where the daemon runs'),
  )
    .addHelpText('after', '\nExample:\n  bitlane models use 695e750a5d57')
    .action(
      cli.action(async (options: Options, model: string) => {
        const place = findPlace(options);
        const answer =
          (await ask(cli, place, 'model/use', { model })) ??
          (await change(cli, place, async (registry) => {
            const { id } = await registry.activate(await findModel(registry, model));
            return { active: id, previous: registry.previous, generation: 0 };
          }));
        cli.print(answer, () => sentence(answer));
      }),
    );

  withPlace(models.command('rollback').description('go back to the previous model'))
    .addHelpText('after', '\nExample:\n  bitlane models rollback')
    .action(
      cli.action(async (options: Options) => {
        const place = findPlace(options);
        const answer =
          (await ask(cli, place, 'model/rollback')) ??
          (await change(cli, place, async (registry) => {
            const { id } = await registry.rollback();
            return { active: id, previous: registry.previous, generation: 0 };
          }));
        cli.print(answer, () => sentence(answer));
      }),
    );
};

/** Adds `remove` to the command `models`. */
export const addModelsRemove = (models: Command, cli: Cli): void => {
  withPlace(
    models
      .command('remove <model>')
      .description('remove an installed model that is neither active nor one to go back to'),
  )
    .addHelpText('after', '\nExample:\n  bitlane models remove 695e750a5d57')
    .action(
      cli.action(async (options: Options, model: string) => {
        const place = findPlace(options);
        const answer =
          (await ask(cli, place, 'model/remove', { model })) ??
          (await change(cli, place, async (registry) => {
            const removed = await findModel(registry, model);
            await registry.remove(removed);
            return { removed };
          }));
        cli.print(answer, () => `${answer.removed.slice(0, 12)} is removed.`);
      }),
    );
};

const sentence = ({ active, generation }: CommandResult<'model/use'>): string =>
  generation === 0
    ? `${active.slice(0, 12)} is active; no daemon runs, it will serve from the next start on.`
    : `${active.slice(0, 12)} is active and serves (generation ${generation}).`;
