// `bitlane models list|use|rollback`: asks the running daemon, or works on the registry itself where none runs.
import type { Command } from 'commander';
import { findModel } from '../daemon/index.js';
import { Registry } from '../registry/index.js';
import type { CommandResult } from '../telemetry/index.js';
import { ask } from './ask.js';
import type { Cli } from './cli.js';
import { becomeOwner, findPlace, type Place, type PlaceOptions } from './place.js';

/** Work on the registry of a daemon that does not run. */
const offline = async <T>(
  cli: Cli,
  place: Place,
  readOnly: boolean,
  work: (registry: Registry) => Promise<T>,
): Promise<T> => {
  if (!readOnly) becomeOwner(place.stateDir);
  const registry = new Registry({ stateDir: place.stateDir, readOnly, purpose: 'bitlane models' });
  for (const notice of await registry.start()) cli.log.warn(notice);
  try {
    return await work(registry);
  } finally {
    registry.stop();
  }
};

const listOffline = async (registry: Registry): Promise<CommandResult<'model/list'>> => ({
  active: registry.active,
  previous: registry.previous,
  factory: registry.factory,
  models: (await registry.list()).flatMap(({ id, manifest }) =>
    manifest === undefined
      ? []
      : [
          {
            id,
            name: manifest.name,
            created_at: manifest.createdAt,
            model_bytes: manifest.modelBytes,
            head: manifest.detector.head.type,
            classes: [...manifest.detector.classes],
          },
        ],
  ),
});

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
          (await offline(cli, place, true, listOffline));
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
          (await offline(cli, place, false, async (registry) => {
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
          (await offline(cli, place, false, async (registry) => {
            const { id } = await registry.rollback();
            return { active: id, previous: registry.previous, generation: 0 };
          }));
        cli.print(answer, () => sentence(answer));
      }),
    );
};

const sentence = ({ active, generation }: CommandResult<'model/use'>): string =>
  generation === 0
    ? `${active.slice(0, 12)} is active; no daemon runs, it will serve from the next start on.`
    : `${active.slice(0, 12)} is active and serves (generation ${generation}).`;
