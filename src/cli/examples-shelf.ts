// Where `bitlane examples` reads and writes: the running daemon, or the store where none runs.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { type Config, type ConfusionsConfig, configSchema, loadConfig } from '../config/index.js';
import { confusionsMessage, exampleMessage, labelOf, purgeOf } from '../daemon/index.js';
import { BitlaneError } from '../errors.js';
import { ExampleLibrary, readConfusions } from '../examples/index.js';
import { openStore } from '../store/index.js';
import {
  callDaemon,
  type CommandName,
  type CommandResult,
  COMMANDS,
  type ExampleMessage,
} from '../telemetry/index.js';
import { ask, askForExample } from './ask.js';
import type { Cli } from './cli.js';
import { look } from './offline.js';
import { becomeOwner, DEFAULT_CONFIG, findPlace, type Place, type PlaceOptions } from './place.js';

type Request = Readonly<Record<string, unknown>>;

/** Asks as telemetry does: the requests and answers of `cmd/examples/*`. */
export interface Shelf {
  ask<N extends ExamplesCommand>(name: N, request: Request): Promise<CommandResult<N>>;
  /** With its picture, whether pictures may leave the device or not. */
  show(example: string): Promise<CommandResult<'examples/show'>>;
  close(): void;
}
export type ExamplesCommand = Exclude<Extract<CommandName, `examples/${string}`>, 'examples/show'>;

const gone = (): never => {
  throw new BitlaneError('UNREACHABLE', 'the daemon ended meanwhile: run the command again');
};

const ofDaemon = (cli: Cli, place: Place): Shelf => ({
  ask: async (name, request) => (await ask(cli, place, name, request)) ?? gone(),
  show: async (example) => (await askForExample(cli, place, example)) ?? gone(),
  close: () => undefined,
});

/** The sections that matter here, as the configuration file has them; what was changed remotely is the daemon's to know. */
const sectionsOf = (options: PlaceOptions): Pick<Config, 'examples' | 'confusions'> => {
  const file = options.config ?? (existsSync(DEFAULT_CONFIG) ? DEFAULT_CONFIG : undefined);
  if (file !== undefined && (options.state === undefined || options.config !== undefined)) {
    return loadConfig(file).config;
  }
  const { examples, confusions } = configSchema.shape;
  return { examples: examples.parse(undefined), confusions: confusions.parse(undefined) };
};

/** Names that the active model knows; `undefined` where none is installed. */
const classesOf = async (cli: Cli, place: Place): Promise<readonly string[] | undefined> => {
  if (!existsSync(join(place.stateDir, 'models'))) return undefined;
  return look(cli, place, async (registry) =>
    registry.active === null ? undefined : (await registry.get(registry.active)).manifest.detector.classes,
  );
};

type Answers = {
  readonly [N in ExamplesCommand]: (request: Request) => Promise<CommandResult<N>> | CommandResult<N>;
};

const answersOf = (
  cli: Cli,
  place: Place,
  store: ReturnType<typeof openStore>,
  library: ExampleLibrary,
  confusions: ConfusionsConfig,
): Answers => ({
  'examples/list': (request) => {
    const { limit, pair, labelled, before } = COMMANDS['examples/list'].request.parse(request);
    const filter = {
      limit,
      ...(pair === undefined ? {} : { pair }),
      ...(labelled === undefined ? {} : { labelled }),
      ...(before === undefined ? {} : { before }),
    };
    const { examples: total, bytes } = library.size;
    return { examples: library.list(filter).map(exampleMessage), total, bytes };
  },
  'examples/label': async (request) => {
    const { example, class: className, box } = COMMANDS['examples/label'].request.parse(request);
    return exampleMessage(library.label(example, labelOf(className, box, await classesOf(cli, place))));
  },
  'examples/purge': async (request) => {
    const { examples, bytes } = await library.purge(
      purgeOf(COMMANDS['examples/purge'].request.parse(request), Date.now()),
    );
    return { removed: examples, bytes };
  },
  'examples/confusions': async () =>
    confusionsMessage(await readConfusions(store, confusions, Date.now()), confusions),
});

const ofStore = (cli: Cli, place: Place, options: PlaceOptions): Shelf => {
  const path = join(place.stateDir, 'bitlane.db');
  if (!existsSync(path)) {
    throw new BitlaneError('BAD_USAGE', `there is nothing in ${place.stateDir}: no daemon has run there yet`);
  }
  becomeOwner(place.stateDir);
  const { examples: rules, confusions } = sectionsOf(options);
  const store = openStore(path, { log: cli.log });
  const library = new ExampleLibrary({ stateDir: place.stateDir, store, rules, log: cli.log });
  const answers = answersOf(cli, place, store, library, confusions);
  return {
    ask: async <N extends ExamplesCommand>(name: N, request: Request) => answers[name](request),
    show: async (example) => ({
      example: exampleMessage(library.get(example)),
      content_type: 'image/jpeg',
      data: Buffer.from(await library.picture(example)).toString('base64'),
    }),
    close: () => store.close(),
  };
};

/** @throws BitlaneError `BAD_USAGE` where no daemon has run yet */
export const openShelf = async (cli: Cli, options: PlaceOptions): Promise<Shelf> => {
  const place = findPlace(options);
  if (options.state !== undefined && options.config === undefined) return ofStore(cli, place, options);
  try {
    await callDaemon(place.runtimeDir, 'examples/list', { limit: 1 }, { signal: cli.signal });
    return ofDaemon(cli, place);
  } catch (error) {
    if (error instanceof BitlaneError && error.code === 'UNREACHABLE') return ofStore(cli, place, options);
    throw error;
  }
};

/** All examples, newest first, a page at a time. */
export async function* allOf(
  shelf: Shelf,
  filter: { readonly pair?: string; readonly labelled?: boolean } = {},
): AsyncGenerator<ExampleMessage> {
  const limit = 200;
  for (let before: string | undefined; ;) {
    const request = { ...filter, limit, ...(before === undefined ? {} : { before }) };
    const { examples } = await shelf.ask('examples/list', request);
    yield* examples;
    if (examples.length < limit) return;
    before = examples.at(-1)?.id;
  }
}
