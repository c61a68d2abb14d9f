// `bitlane adapt start|cancel|status|history`: the loop of the running daemon, from the terminal.
import { existsSync } from 'node:fs';
import { copyFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { type AdaptationRecord, readHistory, reportPath } from '../adaptation/index.js';
import { BitlaneError, messageOf } from '../errors.js';
import type { CommandName, CommandResult } from '../telemetry/index.js';
import { ask } from './ask.js';
import { budgetOf, type BudgetOptions } from './budget-options.js';
import type { Cli } from './cli.js';
import { findPlace, type Place, type PlaceOptions } from './place.js';
import { StepBars } from './step-bars.js';
import { alignColumns, listOption, numberOption } from './values.js';

type Options = PlaceOptions & { readonly json?: boolean };
type State = CommandResult<'adapt/state'>;

const WATCH_MS = 1_000;

const withPlace = (command: Command): Command =>
  command
    .option(
      '--config <file>',
      "the daemon's configuration (default: /etc/bitlane/bitlane.yaml where it exists)",
    )
    .option('--json', 'print one JSON document');

/** Asks the daemon; without one there is no loop. */
const askLoop = async <N extends CommandName>(
  cli: Cli,
  place: Place,
  name: N,
  request: Readonly<Record<string, unknown>> = {},
): Promise<CommandResult<N>> => {
  const answer = await ask(cli, place, name, request);
  if (answer !== undefined) return answer;
  throw new BitlaneError(
    'UNREACHABLE',
    `no daemon runs with the runtime folder ${place.runtimeDir}: start it, or name its configuration with --config`,
  );
};

const stateText = ({ status, adaptation, trigger, step, done, all, last, rungs }: State): string =>
  [
    adaptation === null
      ? 'No adaptation runs.'
      : `${adaptation} (${trigger ?? 'unknown'}) is ${status}${step === null ? '' : `: ${step}${all > 0 ? ` ${done} of ${all}` : ''}`}`,
    ...(last === null ? [] : [`last: ${last.adaptation} ${last.outcome}: ${last.reason}`]),
    ...(rungs.length === 0 ? [] : [`ladder: ${rungs.map((id) => id.slice(0, 12)).join(' > ')}`]),
  ].join('\n');

/** Shows what the loop does until it does nothing any more: in bars, or a line a step where stderr is no terminal. */
const watch = async (cli: Cli, place: Place): Promise<State> => {
  const bars = new StepBars<string>(cli, {});
  let said = '';
  try {
    for (;;) {
      const state = await askLoop(cli, place, 'adapt/state');
      if (state.status === 'idle' || state.status === 'watching') return state;
      const step = state.step ?? state.status;
      if (!process.stderr.isTTY && step !== said)
        process.stderr.write(`${state.adaptation ?? ''}: ${step}\n`);
      said = step;
      bars.show(step, state.done, state.all);
      await new Promise((resolve) => setTimeout(resolve, WATCH_MS));
      cli.signal.throwIfAborted();
    }
  } finally {
    bars.stop();
  }
};

const signed = (value: number | null | undefined): string =>
  value === null || value === undefined ? '-' : `${value >= 0 ? '+' : ''}${value.toFixed(3)}`;

const rowOf = (record: AdaptationRecord): string[] => [
  record.id,
  record.outcome,
  record.trigger,
  record.pairs.map((pair) => pair.join('/')).join(' '),
  record.averageBits === null ? '-' : record.averageBits.toFixed(2),
  record.modelBytes === null ? '-' : String(record.modelBytes),
  record.canary === null ? '-' : record.canary.p95Ms.toFixed(1),
  signed(record.worth?.map50?.change.value ?? record.worth?.agreement?.change.value),
  signed(record.worth?.criticalAccuracy?.change.value),
];

const budgetText = ({ modelBytes, latencyMs, memoryMb, averageBits }: AdaptationRecord['budget']): string =>
  [
    ...(modelBytes === undefined ? [] : [`${modelBytes} bytes`]),
    ...(latencyMs === undefined ? [] : [`p95 ${latencyMs} ms`]),
    ...(memoryMb === undefined ? [] : [`${memoryMb} MB`]),
    ...(averageBits === undefined ? [] : [`${averageBits} bits a weight`]),
  ].join(', ') || 'none';

/** What its steps took, and the time that has gone by: trials and pauses are in that, too. */
const tookText = ({ times, startedAt, endedAt }: AdaptationRecord): string => {
  const steps = `${(Object.values(times).reduce((sum, ms) => sum + ms, 0) / 1000).toFixed(0)} s of steps`;
  if (endedAt === null) return steps;
  return `${((Date.parse(endedAt) - Date.parse(startedAt)) / 1000).toFixed(0)} s, ${steps}`;
};

const HEAD = ['adaptation', 'outcome', 'why', 'pairs', 'bits', 'bytes', 'p95 ms', 'mAP50', 'critical'];

const detailText = (record: AdaptationRecord): string =>
  [
    `${record.id}: ${record.outcome}${record.reason === '' ? '' : `: ${record.reason}`}`,
    `  begun by    ${record.trigger}, ${record.startedAt}`,
    `  from        ${record.parent.slice(0, 12)}, to replace ${record.baseline.slice(0, 12)}`,
    `  candidate   ${record.candidate?.slice(0, 12) ?? '-'}`,
    `  budget      ${budgetText(record.budget)}`,
    `  confused    ${record.pairs.map((pair) => pair.join(' / ')).join(', ') || '-'} (${record.objects} objects${record.labelled ? '' : ', no labels'})`,
    `  significant ${
      record.significant
        .slice(0, 5)
        .map(({ component }) => component)
        .join(', ') || '-'
    }`,
    `  bits        ${
      Object.entries(record.bits)
        .map(([bits, share]) => `${bits}: ${(100 * share).toFixed(0)} %`)
        .join(', ') || '-'
    }${record.objective === undefined ? '' : `, by ${record.objective}`}`,
    `  weights     ${record.tunedSteps === undefined ? 'rounded' : `rounded, then trained on for ${record.tunedSteps} steps`}`,
    ...(record.runMs === null || record.parentRunMs === undefined || record.parentRunMs === null
      ? []
      : [
          `  one run     ${record.runMs.toFixed(1)} ms, ${(record.runMs / record.parentRunMs).toFixed(2)} of that of the FP32 model`,
        ]),
    ...(record.canary === null
      ? []
      : [
          `  measured    p95 ${record.canary.p95Ms.toFixed(1)} ms, ${record.canary.memoryMb ?? '-'} MB, ${record.canary.modelBytes} bytes`,
        ]),
    ...(record.live === null
      ? []
      : [
          `  on the road confidence ${signed((record.live.after.confidence ?? NaN) - (record.live.before.confidence ?? NaN))}, ${record.live.after.fps.toFixed(1)} frames a second (${record.live.before.fps.toFixed(1)} before)`,
        ]),
    `  took        ${tookText(record)}, ${record.peakMb ?? '-'} MB`,
  ].join('\n');

/** Adds the loop's subcommands to `adapt`. */
export const addAdaptLoop = (adapt: Command, cli: Cli): void => {
  withPlace(adapt.command('start').description('begin an adaptation in the running daemon'))
    .option('--budget-bytes <n>', 'most bytes of the model file')
    .option('--budget-latency <ms>', 'p95 of a frame in the detector process, at most')
    .option('--budget-memory <mb>', "most MB of the detector's process")
    .option('--bits-average <b>', 'most bits of a stored weight on average')
    .option('--pairs <pairs>', 'critical pairs a:b,... (default: what was observed)')
    .option('--watch', 'show how far it is, until its model serves or is refused')
    .addHelpText('after', '\nExample:\n  bitlane adapt start --budget-bytes 620000 --watch')
    .action(
      cli.action(
        async (
          options: Options &
            Omit<BudgetOptions, 'profile'> & { readonly pairs?: string; readonly watch?: boolean },
        ) => {
          const place = findPlace(options);
          const hasBudget = [
            options.budgetBytes,
            options.budgetLatency,
            options.budgetMemory,
            options.bitsAverage,
          ].some((value) => value !== undefined);
          const pairs =
            options.pairs === undefined
              ? undefined
              : listOption(options.pairs).map((pair) => {
                  const [a = '', b = '', ...more] = pair.split(':').map((name) => name.trim());
                  if (a !== '' && b !== '' && more.length === 0) return [a, b];
                  throw new BitlaneError(
                    'BAD_USAGE',
                    `--pairs takes pairs a:b,..., and ${JSON.stringify(pair)} is not one`,
                  );
                });
          const begun = await askLoop(cli, place, 'adapt/start', {
            ...(hasBudget && { budget: budgetOf(options) }),
            ...(pairs !== undefined && { pairs }),
          });
          if (options.watch !== true) {
            cli.print(begun, () => `${begun.adaptation} has begun.`);
            return;
          }
          const state = await watch(cli, place);
          cli.print(state, () => stateText(state));
        },
      ),
    );

  withPlace(adapt.command('cancel').description('end the adaptation that runs; the model that serves stays'))
    .addHelpText('after', '\nExample:\n  bitlane adapt cancel')
    .action(
      cli.action(async (options: Options) => {
        const answer = await askLoop(cli, findPlace(options), 'adapt/cancel');
        cli.print(answer, () => `${answer.cancelled} is cancelled.`);
      }),
    );

  withPlace(adapt.command('status').description('what the loop is doing'))
    .option('--watch', 'show how far it is, until nothing runs')
    .addHelpText('after', '\nExample:\n  bitlane adapt status --watch')
    .action(
      cli.action(async (options: Options & { readonly watch?: boolean }) => {
        const place = findPlace(options);
        const state =
          options.watch === true ? await watch(cli, place) : await askLoop(cli, place, 'adapt/state');
        cli.print(state, () => stateText(state));
      }),
    );

  withPlace(
    adapt
      .command('history [adaptation]')
      .description('adaptations so far; of one: what was confused, where bits went, what it cost and gained'),
  )
    .option('--state <dir>', 'the state folder, instead of the one in the configuration')
    .option('--limit <n>', 'how many (default 20)')
    .option('--report <file>', 'write the page of the one that is named, with its pictures (.html)')
    .addHelpText(
      'after',
      '\nExample:\n  bitlane adapt history\n  bitlane adapt history 20260131-031500-1a2b --report adapted.html',
    )
    .action(
      cli.action(
        async (
          options: Options & { readonly limit?: string; readonly report?: string },
          wanted: string | undefined,
        ) => {
          const { stateDir } = findPlace(options);
          const limit = numberOption('--limit', options.limit, { min: 1, max: 200, integer: true }, 20);
          if (options.state !== undefined && !existsSync(stateDir)) {
            throw new BitlaneError('BAD_USAGE', `the state folder ${stateDir} does not exist`);
          }
          const records = readHistory(stateDir, wanted === undefined ? limit : 200);
          if (wanted === undefined) {
            if (options.report !== undefined) {
              throw new BitlaneError('BAD_USAGE', '--report needs the adaptation whose page it is');
            }
            cli.print({ adaptations: records }, () =>
              records.length === 0
                ? 'No adaptation has run yet.'
                : alignColumns([HEAD, ...records.map(rowOf)]).join('\n'),
            );
            return;
          }
          const [record, ...others] = records.filter(({ id }) => id.startsWith(wanted));
          if (record === undefined || others.length > 0) {
            throw new BitlaneError(
              'BAD_USAGE',
              `${JSON.stringify(wanted)} is ${record === undefined ? 'no' : 'more than one'} adaptation: "bitlane adapt history" lists them`,
            );
          }
          if (options.report !== undefined) await copyPage(stateDir, record.id, options.report);
          cli.print(record, () => detailText(record));
        },
      ),
    );
};

const copyPage = async (stateDir: string, id: string, target: string): Promise<void> => {
  const page = reportPath(stateDir, id);
  if (!existsSync(page)) {
    throw new BitlaneError('BAD_USAGE', `${id} has no page: it ended before its candidate was made`);
  }
  try {
    await copyFile(page, target);
  } catch (error) {
    throw new BitlaneError('STORE_FAILED', `${target} cannot be written: ${messageOf(error)}`, {
      cause: error,
    });
  }
};
