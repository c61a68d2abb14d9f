// Hard examples as the daemon knows them: fed from the road, told to telemetry, ruled by the configuration; confusions made known.
import type { Config } from '../config/index.js';
import { type FrameResult, keptClasses } from '../detector/index.js';
import { BitlaneError, messageOf } from '../errors.js';
import {
  type ConfusionReport,
  ExampleKeeper,
  ExampleLibrary,
  type KeeperRules,
  readConfusions,
  SteadyClock,
} from '../examples/index.js';
import { foldName } from '../registry/index.js';
import type { Store } from '../store/index.js';
import type { Log } from '../system/index.js';
import {
  type CommandRegistry,
  COMMANDS,
  defineCommand,
  pictureResult,
  type Telemetry,
} from '../telemetry/index.js';
import type { FinishedTrack, TrackView } from '../tracking/index.js';
import { confusionsMessage, exampleEvent, exampleMessage } from './example-messages.js';
import type { Masks } from './masks.js';
import type { RoadWatcher } from './road.js';

const DAY_MS = 86_400_000;
/** Weight of a teacher's words below which they say nothing of a model. */
const ENOUGH_SAID = 20;

export interface ExamplesOptions {
  readonly config: Config;
  readonly store: Store;
  readonly telemetry: Pick<Telemetry, 'enqueue' | 'publishState'>;
  /** Names this start of the daemon. */
  readonly bootId: string;
  readonly masks: Masks;
  readonly log: Log;
}

const rulesOf = ({ examples, confusions }: Config): KeeperRules => ({
  examples,
  windowMs: confusions.windowDays * DAY_MS,
});

/** Over the control socket only: whoever may use it could read the file as well. */
export const EXAMPLE_PICTURE = defineCommand({
  name: 'examples/picture',
  description: 'One hard example with its picture.',
  request: COMMANDS['examples/show'].request,
  response: pictureResult,
  timeoutMs: 10_000,
  local: true,
});

export class Examples implements RoadWatcher {
  readonly keeper: ExampleKeeper;
  readonly #store: Store;
  readonly #telemetry: ExamplesOptions['telemetry'];
  readonly #log: Log;
  #config: Config;
  #timer: NodeJS.Timeout | undefined;
  #report: ConfusionReport | undefined;
  /** Names of the model that pairs of the configuration were last compared with. */
  #classes: string | undefined;

  constructor({ config, store, telemetry, bootId, masks, log }: ExamplesOptions) {
    this.#config = config;
    this.#store = store;
    this.#telemetry = telemetry;
    this.#log = log;
    const clock = new SteadyClock();
    const library = new ExampleLibrary({
      stateDir: config.stateDir,
      store,
      rules: config.examples,
      isSteady: () => clock.isSteady(),
      log,
    });
    this.keeper = new ExampleKeeper({
      library,
      store,
      rules: rulesOf(config),
      masks: (frame) => masks.over(frame),
      log,
      run: bootId.slice(0, 8),
    });
    this.keeper.on('stored', (example) => telemetry.enqueue('event/example', exampleEvent(example)));
  }

  /** As they were last worked out; `undefined` before the first time. */
  get confusions(): ConfusionReport | undefined {
    return this.#report;
  }

  start(): void {
    this.keeper.start();
    void this.#publish();
  }

  async stop(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    await this.keeper.stop();
  }

  async configure(config: Config): Promise<void> {
    this.#config = config;
    this.#classes = undefined;
    await this.keeper.configure(rulesOf(config));
    if (this.#timer !== undefined) void this.#publish();
  }

  /** A detected frame, and its confirmed tracks. */
  seen(result: FrameResult, classes: readonly string[], tracks: readonly TrackView[]): void {
    const { artifactId: model, detections, frame } = result;
    this.#warnOfStrangers(classes);
    this.keeper.see(frame, { model, classes, detections, tracks });
  }

  finished(tracks: readonly FinishedTrack[]): void {
    this.keeper.end(tracks);
  }

  /** Works the confusions out from everything that is observed so far. */
  async workOut(): Promise<ConfusionReport> {
    await this.keeper.flush();
    this.#report = await readConfusions(this.#store, this.#config.confusions, Date.now());
    return this.#report;
  }

  /** Share of what `model` said that the teacher says, too; `null` where it was asked about too little. */
  async agreementWithTeacher(model: string): Promise<number | null> {
    const options = { models: [model], sources: ['teacher'] } as const;
    const { matrix } = await readConfusions(this.#store, this.#config.confusions, Date.now(), options);
    const all = matrix.counts.flat().reduce((sum, weight) => sum + weight, 0);
    const same = matrix.counts.reduce((sum, row, index) => sum + (row[index] ?? 0), 0);
    return all < ENOUGH_SAID ? null : same / all;
  }

  /** A pair that is spelled wrongly would wait for ever. */
  #warnOfStrangers(classes: readonly string[]): void {
    const text = classes.join(', ');
    if (text === this.#classes) return;
    this.#classes = text;
    for (const list of ['pinned', 'banned'] as const) {
      const { unknown: strangers } = keptClasses(this.#config.confusions[list].flat(), classes);
      if (strangers.length === 0) continue;
      this.#log.warn(`confusions.${list} names what the model that serves does not know`, {
        unknown: [...new Set(strangers)].join(', '),
        classes: text,
      });
    }
  }

  async #publish(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#publish(), this.#config.confusions.publishSeconds * 1000);
    try {
      const report = await this.workOut();
      if (this.#timer === undefined) return;
      this.#telemetry.publishState('confusions', confusionsMessage(report, this.#config.confusions));
    } catch (error) {
      if (this.#timer !== undefined)
        this.#log.warn(`confusions could not be worked out: ${messageOf(error)}`);
    }
  }

  /** @param classes names that the serving model knows; a label must be one of them */
  addCommands(commands: CommandRegistry, classes: () => readonly string[] | undefined): void {
    const { library } = this.keeper;
    const picture = async (id: string) => ({
      example: exampleMessage(library.get(id)),
      content_type: 'image/jpeg' as const,
      data: Buffer.from(await library.picture(id)).toString('base64'),
    });

    commands.handle('examples/list', ({ pair, labelled, before, limit }) => {
      const filter = {
        limit,
        ...(pair === undefined ? {} : { pair }),
        ...(labelled === undefined ? {} : { labelled }),
        ...(before === undefined ? {} : { before }),
      };
      const { examples: total, bytes } = library.size;
      return { examples: library.list(filter).map(exampleMessage), total, bytes };
    });

    commands.handle('examples/show', ({ example }) => {
      if (this.#config.telemetry.snapshots) return picture(example);
      throw new BitlaneError(
        'UNSUPPORTED',
        'pictures do not leave the device: set telemetry.snapshots in the configuration of the device',
      );
    });
    commands.register(EXAMPLE_PICTURE, ({ example }) => picture(example));

    commands.handle('examples/label', async ({ example, class: className, box }) => {
      const said = labelOf(className, box, classes());
      // What the track presumed must be written before the operator's word takes its place.
      await this.keeper.flush();
      return exampleMessage(library.label(example, said));
    });

    commands.handle('examples/purge', async (request) => {
      const { examples, bytes } = await library.purge(purgeOf(request, Date.now()));
      return { removed: examples, bytes };
    });

    commands.handle('examples/confusions', async () =>
      confusionsMessage(await this.workOut(), this.#config.confusions),
    );
  }
}

/**
 * What a request says about an example, as the library takes it.
 * @param className `undefined` takes an earlier label back
 * @param classes names that the model knows; any is taken where they are unknown
 * @throws BitlaneError `BAD_COMMAND` for a class that the model does not know
 */
export const labelOf = (
  className: string | null | undefined,
  box: readonly [number, number, number, number] | undefined,
  classes: readonly string[] | undefined,
): Parameters<ExampleLibrary['label']>[1] => {
  if (className === undefined) return null;
  if (box !== undefined && !(box[2] > box[0] && box[3] > box[1])) {
    throw new BitlaneError('BAD_COMMAND', 'a box is [x1, y1, x2, y2] with x1 below x2 and y1 below y2');
  }
  const known = className === null ? null : classes?.find((name) => foldName(name) === foldName(className));
  if (known === undefined && classes !== undefined) {
    throw new BitlaneError(
      'BAD_COMMAND',
      `${JSON.stringify(className)} is no class of the model (${classes.join(', ')})`,
    );
  }
  return {
    className: known ?? className,
    ...(box === undefined ? {} : { box: { x1: box[0], y1: box[1], x2: box[2], y2: box[3] } }),
  };
};

/**
 * @throws BitlaneError `BAD_COMMAND` where nothing says which examples, and `all` does not either
 */
export const purgeOf = (
  request: {
    readonly examples?: readonly string[] | undefined;
    readonly pair?: string | undefined;
    readonly older_than_days?: number | undefined;
    readonly labelled: boolean;
    readonly all: boolean;
  },
  nowMs: number,
): Parameters<ExampleLibrary['purge']>[0] => {
  const { examples, pair, older_than_days: days, labelled, all } = request;
  if (examples === undefined && pair === undefined && days === undefined && !all) {
    throw new BitlaneError(
      'BAD_COMMAND',
      'say which examples are to be removed (examples, pair, older_than_days), or all: true',
    );
  }
  return {
    labelled,
    ...(examples === undefined ? {} : { ids: examples }),
    ...(pair === undefined ? {} : { pair }),
    ...(days === undefined ? {} : { beforeMs: nowMs - days * DAY_MS }),
  };
};
