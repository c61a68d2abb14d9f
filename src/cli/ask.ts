// Asking the daemon of this device, where one runs.
import { EXAMPLE_PICTURE, MODEL_INSTALL } from '../daemon/index.js';
import { BitlaneError } from '../errors.js';
import { callDaemon, type CommandName, type CommandResult, COMMANDS } from '../telemetry/index.js';
import type { Cli } from './cli.js';
import type { Place } from './place.js';

const call = async (
  cli: Cli,
  place: Place,
  name: string,
  timeoutMs: number,
  request: Readonly<Record<string, unknown>>,
): Promise<unknown> => {
  try {
    return await callDaemon(place.runtimeDir, name, request, { timeoutMs, signal: cli.signal });
  } catch (error) {
    if (error instanceof BitlaneError && error.code === 'UNREACHABLE') return undefined;
    throw error;
  }
};

/** Asks the daemon; `undefined` when none runs. */
export const ask = async <N extends CommandName>(
  cli: Cli,
  place: Place,
  name: N,
  request: Readonly<Record<string, unknown>> = {},
): Promise<CommandResult<N> | undefined> => {
  const answer = await call(cli, place, name, COMMANDS[name].timeoutMs, request);
  return answer === undefined ? undefined : (COMMANDS[name].response.parse(answer) as CommandResult<N>);
};

/** Asks the daemon to install a copy of an artifact folder. @returns whether one runs */
export const askToInstall = async (cli: Cli, place: Place, folder: string): Promise<boolean> =>
  (await call(cli, place, MODEL_INSTALL.name, MODEL_INSTALL.timeoutMs, { folder })) !== undefined;

/** Asks the daemon for a hard example with its picture; `undefined` when none runs. */
export const askForExample = async (
  cli: Cli,
  place: Place,
  example: string,
): Promise<CommandResult<'examples/show'> | undefined> => {
  const answer = await call(cli, place, EXAMPLE_PICTURE.name, EXAMPLE_PICTURE.timeoutMs, { example });
  return answer === undefined ? undefined : EXAMPLE_PICTURE.response.parse(answer);
};
