#!/usr/bin/env node
// The command line: each command parses, calls and prints.
import { Command, CommanderError } from 'commander';
import { packageVersion } from '../system/index.js';
import { Cli } from './cli.js';
import { COMMANDS } from './commands.js';

const cli = new Cli();
const program = new Command('bitlane')
  .description('Vehicle detection for roadside cameras that moves its bits to where the site needs them.')
  .version(packageVersion)
  .exitOverride()
  .showHelpAfterError('(bitlane --help lists the commands)');
for (const add of COMMANDS) add(program, cli);
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => cli.abort());

try {
  await program.parseAsync(process.argv);
} catch (error) {
  if (!(error instanceof CommanderError)) cli.fail(error);
  else process.exitCode = error.exitCode === 0 ? 0 : 2;
}
