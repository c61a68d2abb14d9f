// `bitlane run`: the daemon in the foreground.
import { loadConfig } from '../config/index.js';
import { Daemon, type DaemonProgress } from '../daemon/index.js';
import { RootLog } from '../system/index.js';
import { brokerOf } from '../telemetry/index.js';
import type { AddCommand } from './commands.js';
import { DEFAULT_CONFIG } from './place.js';

const SHOW_EVERY_MS = 1_000;

const line = (
  { fps, latencyP50Ms, detected, skipped, tracks, model, connected }: DaemonProgress,
  hasBroker: boolean,
): string =>
  `${model}  ${fps.toFixed(1)} fps  ${latencyP50Ms === null ? '-' : latencyP50Ms.toFixed(1)} ms  ` +
  `${detected} frames, ${skipped} skipped  ${tracks} vehicles  ${hasBroker ? `broker ${connected ? 'connected' : 'away'}` : 'no broker'}`;

const NOTHING = { detected: 0, skipped: 0, tracks: 0, crossings: [] } as const;

const aborted = (signal: AbortSignal): Promise<false> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve(false);
    else signal.addEventListener('abort', () => resolve(false), { once: true });
  });

export const addRun: AddCommand = (program, cli) => {
  program
    .command('run')
    .description('watch the road: detect, track, count, publish')
    .option('--config <file>', 'the configuration', DEFAULT_CONFIG)
    .option('--json', 'print one JSON document at the end: what was seen')
    .addHelpText(
      'after',
      '\nSIGHUP reads the configuration again, SIGTERM and Ctrl-C stop in order.\n\nExample:\n  bitlane run --config bitlane.yaml',
    )
    .action(
      cli.action(async (options: { config: string }) => {
        const local = loadConfig(options.config);
        // A log line takes the place of the status line, which comes again with the next second.
        const clear = process.stderr.isTTY ? '\r\x1b[K' : '';
        const rootLog = new RootLog({
          level: local.config.logLevel,
          write: (text) => void process.stderr.write(`${clear}${text}`),
        });
        const daemon = new Daemon({ local, rootLog });
        const onHup = (): void => daemon.reload();
        process.on('SIGHUP', onHup);
        let shown: NodeJS.Timeout | undefined;
        try {
          await daemon.start();
          if (process.stderr.isTTY) {
            shown = setInterval(() => {
              const progress = daemon.progress();
              if (progress !== undefined)
                process.stderr.write(
                  `\r\x1b[K${line(progress, brokerOf(local.config.mqtt).url !== undefined)}`,
                );
            }, SHOW_EVERY_MS);
          }
          const ended = daemon.ended.then(() => true);
          if (await Promise.race([ended, aborted(cli.signal)])) daemon.closeCounts();
        } finally {
          clearInterval(shown);
          if (shown !== undefined) process.stderr.write('\n');
          await daemon.stop();
          process.off('SIGHUP', onHup);
        }
        const seen = daemon.progress();
        const { detected, skipped, tracks, crossings } = seen ?? NOTHING;
        cli.print({ detected, skipped, tracks, crossings }, () =>
          [
            `${detected} frames detected, ${skipped} skipped, ${tracks} vehicles`,
            ...crossings.map(
              ({ line: name, direction, className, count }) => `${name}, ${direction}: ${count} ${className}`,
            ),
          ].join('\n'),
        );
      }),
    );
};
