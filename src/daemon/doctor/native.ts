// Checks of the native parts, each in a child process.
import { fileURLToPath } from 'node:url';
import { runBounded } from '../../system/index.js';
import { type Check, fail, type Finding, ok } from './check.js';

const CHILD = fileURLToPath(new URL('./probe-child.js', import.meta.url));
const REINSTALL = 'Install again with the Node that runs bitlane: bash scripts/install.sh.';

const lastLine = (text: string): string =>
  text
    .split('\n')
    .map((line) => line.trim())
    .find((line) => /error/i.test(line)) ?? 'no message';

const probe = async (name: string, folder: string, deadlineMs: number): Promise<Finding> => {
  const result = await runBounded(process.execPath, [CHILD, name, folder], { deadlineMs });
  if (result.outcome === 'exit' && result.code === 0) return ok(result.stdout);
  if (result.outcome === 'timeout') return fail('it did not answer in time', REINSTALL);
  if (result.outcome === 'signal') return fail(`it crashed with ${result.signal ?? 'a signal'}`, REINSTALL);
  return fail(lastLine(result.stderr), REINSTALL);
};

/** @param stateDir where SQLite writes its trial file */
export const nativeChecks = (stateDir: string): readonly Check[] =>
  (['onnxruntime', 'sqlite', 'jpeg'] as const).map((name) => ({
    name,
    deadlineMs: 35_000,
    run: () => probe(name, stateDir, 30_000),
  }));
