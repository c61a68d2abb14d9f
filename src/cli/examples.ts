// `bitlane examples list|show|label|export|purge|confusions`.
import { writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { exampleFrom } from '../daemon/index.js';
import { BitlaneError } from '../errors.js';
import { exportExamples, LAYOUTS, SOURCES } from '../examples/index.js';
import type { Cli } from './cli.js';
import type { AddCommand } from './commands.js';
import { allOf, openShelf, type Shelf } from './examples-shelf.js';
import { confusionsText, exampleText, listText } from './examples-text.js';
import type { PlaceOptions } from './place.js';
import { numberOption } from './values.js';

type Options = PlaceOptions & { readonly json?: boolean };

const withPlace = (command: Command): Command =>
  command
    .option(
      '--config <file>',
      "the daemon's configuration (default: /etc/bitlane/bitlane.yaml where it exists)",
    )
    .option('--state <dir>', 'the state folder, instead of the one in the configuration')
    .option('--json', 'print one JSON document');

const withShelf = async <T>(cli: Cli, options: Options, work: (shelf: Shelf) => Promise<T>): Promise<T> => {
  const shelf = await openShelf(cli, options);
  try {
    return await work(shelf);
  } finally {
    shelf.close();
  }
};

const bad = (message: string): BitlaneError => new BitlaneError('BAD_USAGE', message);

/** One of `known`, as an option was given it. */
const oneOf = <T extends string>(option: string, text: string, known: readonly T[]): T => {
  const found = known.find((name) => name === text);
  if (found !== undefined) return found;
  throw bad(`${option} takes ${known.join(', ')}, and ${JSON.stringify(text)} is none of them`);
};

const pairOption = (text: string | undefined): { pair?: string } => {
  if (text === undefined) return {};
  const names = text.split(':').map((name) => name.trim());
  if (names.length !== 2 || names.includes('')) {
    throw bad(`--pair takes two classes class:class, and ${JSON.stringify(text)} is none`);
  }
  return { pair: names.sort().join(':') };
};

interface ListOptions extends Options {
  readonly pair?: string;
  readonly labelled?: boolean;
  readonly unlabelled?: boolean;
  readonly limit?: string;
}

const addList = (examples: Command, cli: Cli): void => {
  withPlace(examples.command('list').description('show the stored hard examples, newest first'))
    .option('--pair <a:b>', 'only those of this pair of classes')
    .option('--labelled', 'only those that an operator labelled')
    .option('--unlabelled', 'only those that nobody labelled')
    .option('--limit <n>', 'so many at most (default: 50, at most 200)')
    .addHelpText('after', '\nExample:\n  bitlane examples list --pair car:truck --unlabelled')
    .action(
      cli.action(async (options: ListOptions) => {
        if (options.labelled === true && options.unlabelled === true) {
          throw bad('--labelled and --unlabelled exclude each other');
        }
        const limit = numberOption('--limit', options.limit, { min: 1, max: 200, integer: true }, 50);
        const labelled = options.labelled === true ? true : options.unlabelled === true ? false : undefined;
        const request = {
          limit,
          ...pairOption(options.pair),
          ...(labelled === undefined ? {} : { labelled }),
        };
        const list = await withShelf(cli, options, (shelf) => shelf.ask('examples/list', request));
        cli.print(list, () => listText(list));
      }),
    );
};

/** `ids` come from the command line: the daemon's rule for them is told in the command line's words. */
const checkId = (id: string): string => {
  if (/^[0-9]{8}-[0-9]{6}-[0-9a-f]{6}$/.test(id)) return id;
  throw bad(`${JSON.stringify(id)} is no id of an example: "bitlane examples list" shows them`);
};

const addShow = (examples: Command, cli: Cli): void => {
  withPlace(examples.command('show <example>').description('show one example; write its picture to a file'))
    .option('--out <file>', 'where to write the picture (JPEG)')
    .addHelpText('after', '\nExample:\n  bitlane examples show 20260504-081457-4f1c2a --out truck.jpg')
    .action(
      cli.action(async (options: Options & { readonly out?: string }, id: string) => {
        checkId(id);
        const { out } = options;
        await withShelf(cli, options, async (shelf) => {
          const { example, data } = await shelf.show(id);
          if (out !== undefined) writeFileSync(resolve(out), Buffer.from(data, 'base64'));
          const file = out === undefined ? null : resolve(out);
          cli.print({ ...example, file }, () =>
            [exampleText(example), ...(file === null ? [] : [`The picture is in ${file}.`])].join('\n'),
          );
        });
      }),
    );
};

interface LabelOptions extends Options {
  readonly none?: boolean;
  readonly clear?: boolean;
  readonly box?: string;
}

const boxOption = (text: string | undefined): { box?: [number, number, number, number] } => {
  if (text === undefined) return {};
  const [x1, y1, x2, y2, ...more] = text.split(',').map((part) => Number(part));
  const isBox =
    more.length === 0 &&
    [x1, y1, x2, y2].every((value) => value !== undefined && Number.isFinite(value)) &&
    (x2 ?? 0) > (x1 ?? 0) &&
    (y2 ?? 0) > (y1 ?? 0);
  if (!isBox)
    throw bad(`--box takes x1,y1,x2,y2 in pixels of the picture, and ${JSON.stringify(text)} is none`);
  return { box: [x1 ?? 0, y1 ?? 0, x2 ?? 0, y2 ?? 0] };
};

const addLabel = (examples: Command, cli: Cli): void => {
  withPlace(
    examples
      .command('label <example> [class]')
      .description("say what an example really is: an operator's word"),
  )
    .option('--none', 'it is no vehicle at all')
    .option('--clear', 'take an earlier label back')
    .option('--box <x1,y1,x2,y2>', 'where it really is, pixels of the picture')
    .addHelpText('after', '\nExample:\n  bitlane examples label 20260504-081457-4f1c2a truck')
    .action(
      cli.action(async (options: LabelOptions, id: string, className?: string) => {
        const { none = false, clear = false } = options;
        if (Number(none) + Number(clear) + Number(className !== undefined) !== 1) {
          throw bad('name the class, or --none, or --clear');
        }
        const said = none ? { class: null } : clear ? {} : { class: className };
        const request = { example: checkId(id), ...said, ...boxOption(options.box) };
        const example = await withShelf(cli, options, (shelf) => shelf.ask('examples/label', request));
        cli.print(example, () => exampleText(example));
      }),
    );
};

interface PurgeOptions extends Options {
  readonly pair?: string;
  readonly olderThan?: string;
  readonly labelled?: boolean;
  readonly all?: boolean;
}

const addPurge = (examples: Command, cli: Cli): void => {
  withPlace(
    examples.command('purge [examples...]').description('remove examples and their pictures for good'),
  )
    .option('--pair <a:b>', 'those of this pair of classes')
    .option('--older-than <days>', 'those that are older')
    .option('--labelled', 'labelled ones too')
    .option('--all', 'all (labelled ones only with --labelled)')
    .addHelpText('after', '\nExample:\n  bitlane examples purge --older-than 7')
    .action(
      cli.action(async (options: PurgeOptions, ids: string[]) => {
        const days = numberOption('--older-than', options.olderThan, { min: 0, max: 36_500 }, undefined);
        const { all = false, labelled = false } = options;
        if (ids.length === 0 && options.pair === undefined && days === undefined && !all) {
          throw bad('name examples, --pair, --older-than or --all');
        }
        const request = {
          all,
          labelled,
          ...pairOption(options.pair),
          ...(ids.length === 0 ? {} : { examples: ids.map(checkId) }),
          ...(days === undefined ? {} : { older_than_days: days }),
        };
        const gone = await withShelf(cli, options, (shelf) => shelf.ask('examples/purge', request));
        cli.print(gone, () => `${gone.removed} examples are removed, ${(gone.bytes / 1e6).toFixed(1)} MB.`);
      }),
    );
};

interface ExportOptions extends Options {
  readonly out: string;
  readonly layout: string;
  readonly sources: string;
  readonly pair?: string;
  readonly crops?: boolean;
}

const addExport = (examples: Command, cli: Cli): void => {
  withPlace(examples.command('export').description('write the labelled examples as a data set'))
    .requiredOption('--out <dir>', 'a folder that does not exist yet')
    .option('--layout <layout>', `${LAYOUTS.join(' or ')}`, 'yolo')
    .option('--sources <list>', `whose word is taken: ${SOURCES.join(', ')}`, 'operator')
    .option('--pair <a:b>', 'only those of this pair of classes')
    .option('--crops', 'crops as they are stored, instead of pictures as large as the frame')
    .addHelpText(
      'after',
      '\nExample:\n  bitlane examples export --out hard --layout coco --sources operator,track\n  bitlane eval --model M --data hard',
    )
    .action(
      cli.action(async (options: ExportOptions) => {
        const layout = oneOf('--layout', options.layout, LAYOUTS);
        const sources = options.sources.split(',').map((text) => oneOf('--sources', text.trim(), SOURCES));
        const filter = pairOption(options.pair);
        const exported = await withShelf(cli, options, async (shelf) => {
          const { total } = await shelf.ask('examples/list', { limit: 1 });
          const bar = cli.progress('exporting', total, 'examples');
          try {
            return await exportExamples(
              {
                all: async function* () {
                  for await (const message of allOf(shelf, filter)) yield exampleFrom(message);
                },
                picture: async (id) => Buffer.from((await shelf.show(id)).data, 'base64'),
              },
              {
                layout,
                sources,
                folder: resolve(options.out),
                crops: options.crops === true,
                signal: cli.signal,
                onProgress: (done) => bar.update(done),
              },
            );
          } finally {
            bar.stop();
          }
        });
        cli.print(
          exported,
          () =>
            `${exported.pictures} pictures of ${exported.classes.join(', ')} are in ${exported.folder} (${SOURCES.map(
              (source) => `${source} ${exported.sources[source]}`,
            ).join(', ')}); ${exported.unlabelled} examples have no label by ${sources.join(', ')}.`,
        );
      }),
    );
};

const addConfusions = (examples: Command, cli: Cli): void => {
  withPlace(
    examples
      .command('confusions')
      .description('what is observed to be confused with what, and by whose word'),
  )
    .addHelpText('after', '\nExample:\n  bitlane examples confusions')
    .action(
      cli.action(async (options: Options) => {
        const report = await withShelf(cli, options, (shelf) => shelf.ask('examples/confusions', {}));
        cli.print(report, () => confusionsText(report));
      }),
    );
};

export const addExamples: AddCommand = (program, cli) => {
  const examples = program
    .command('examples')
    .description('what the model was unsure or wrong about')
    .addHelpText('after', '\nExample:\n  bitlane examples list');
  addList(examples, cli);
  addShow(examples, cli);
  addLabel(examples, cli);
  addExport(examples, cli);
  addPurge(examples, cli);
  addConfusions(examples, cli);
};
