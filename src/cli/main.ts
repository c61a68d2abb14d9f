#!/usr/bin/env node
// The command line: each command parses, calls and prints.
import { CommanderError } from 'commander';
import { Cli } from './cli.js';
import { buildProgram } from './program.js';

const cli = new Cli();
const program = buildProgram(cli);
/** A terminal's Ctrl-C may come twice (to the group, and handed on by a script): only one that comes later is impatience. */
const IMPATIENT_MS = 2_000;
let askedAtMs: number | undefined;
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    if (askedAtMs !== undefined && performance.now() - askedAtMs > IMPATIENT_MS) process.exit(1);
    askedAtMs ??= performance.now();
    cli.abort();
  });
}

// Whoever reads may stop reading: `bitlane ... | head`.
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    process.exit();
  });
}

try {
  await program.parseAsync(process.argv);
} catch (error) {
  if (!(error instanceof CommanderError)) cli.fail(error);
  else {
    process.exitCode = error.exitCode === 0 ? 0 : 2;
    if (error.exitCode !== 0 && process.argv.includes('--json')) {
      const message = error.message.replace(/^error: /, '').replace(/\s*\n\s*/g, ' ');
      process.stdout.write(`${JSON.stringify({ error: { code: 'BAD_USAGE', message } })}\n`);
    }
  }
}
