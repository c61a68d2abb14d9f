// Programs that cameras are read with: found on PATH, and what they may see of our environment.
import { access, constants } from 'node:fs/promises';
import { delimiter, isAbsolute, join } from 'node:path';

/** The absolute path of the first of `names` that is on PATH; names that come first win over folders that come first. */
export const findProgram = async (
  names: readonly string[],
  environment: NodeJS.ProcessEnv,
): Promise<string | undefined> => {
  const folders = (environment['PATH'] ?? '').split(delimiter).filter((folder) => isAbsolute(folder));
  for (const name of names) {
    for (const folder of folders) {
      const path = join(folder, name);
      try {
        await access(path, constants.X_OK);
        return path;
      } catch {
        // Not in this folder.
      }
    }
  }
  return undefined;
};

/** Not for children: how we talk to systemd, where our secrets are, and what changes how Node or node-libcamera behave. */
const WITHHELD = [
  'NOTIFY_SOCKET',
  'WATCHDOG_USEC',
  'WATCHDOG_PID',
  'CREDENTIALS_DIRECTORY',
  'NODE_ENV',
  'NODE_OPTIONS',
  'NODE_V8_COVERAGE',
] as const;

export const childEnvironment = (
  environment: NodeJS.ProcessEnv,
  more: NodeJS.ProcessEnv = {},
): NodeJS.ProcessEnv => {
  const result: NodeJS.ProcessEnv = { ...environment, ...more };
  for (const name of WITHHELD) delete result[name];
  return result;
};
