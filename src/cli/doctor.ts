// `bitlane doctor`: what works on this device, and what to do about what does not.
import { type CheckResult, type DoctorReport, runDoctor } from '../daemon/index.js';
import type { AddCommand } from './commands.js';

const row = (check: CheckResult, width: number): string => {
  const head = `${check.status.padEnd(4)}  ${check.name.padEnd(width)}  ${check.detail}`;
  return check.advice === '' ? head : `${head}\n${' '.repeat(width + 8)}-> ${check.advice}`;
};

const table = (report: DoctorReport): string => {
  const width = Math.max(...report.checks.map((check) => check.name.length));
  const { ok, warn, fail, skip } = report.counts;
  return [
    ...report.checks.map((check) => row(check, width)),
    '',
    `${ok} ok, ${warn} to look at, ${fail} failed, ${skip} skipped`,
  ].join('\n');
};

export const addDoctor: AddCommand = (program, cli) => {
  program
    .command('doctor')
    .description('say what works on this device, and what to do about what does not')
    .option('--config <file>', 'the configuration to check as well')
    .option('--json', 'print one JSON document')
    .addHelpText('after', '\nExample:\n  bitlane doctor --config /etc/bitlane/bitlane.yaml')
    .action(
      cli.action(async (options: { config?: string }) => {
        let bar: ReturnType<typeof cli.progress> | undefined;
        const report = await runDoctor(options.config, (done, total) => {
          bar ??= cli.progress('checking', total, 'checks');
          bar.update(done);
        });
        bar?.stop();
        cli.print(report, () => table(report));
        if (!report.ok) process.exitCode = 1;
      }),
    );
};
