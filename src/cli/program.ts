// All commands as one program.
import { Command } from 'commander';
import { packageVersion } from '../system/index.js';
import type { Cli } from './cli.js';
import { COMMANDS } from './commands.js';

/** The program `bitlane`; what is wrong with a command line is thrown as a `CommanderError`. */
export const buildProgram = (cli: Cli): Command => {
  const program = new Command('bitlane')
    .description('Vehicle detection for roadside cameras that moves its bits to where the site needs them.')
    .version(packageVersion)
    .exitOverride()
    .showHelpAfterError('(--help tells more)')
    // As all other errors begin.
    .configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, 'bitlane: ')) })
    .addHelpText('after', '\nExample:\n  bitlane run --config /etc/bitlane/bitlane.yaml');
  for (const add of COMMANDS) add(program, cli);
  return program;
};
