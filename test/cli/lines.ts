// Command lines of the tests: one in a process of its own, or many in one process.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runBounded } from '../../src/system/index.js';

const main = fileURLToPath(new URL('../../src/cli/main.js', import.meta.url));
const many = fileURLToPath(new URL('./many.js', import.meta.url));

export interface Printed {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export const run = async (...args: string[]) => {
  const { code, stdout, stderr } = await runBounded(process.execPath, [main, ...args], {
    deadlineMs: 120_000,
  });
  return { code, stdout, stderr };
};

/** Many command lines, one after the other in one process; what they are and print goes through `folder`. */
export const runMany = async (
  folder: string,
  commandLines: readonly (readonly string[])[],
): Promise<Printed[]> => {
  const [inputs, results] = [join(folder, 'inputs.json'), join(folder, 'results.json')];
  writeFileSync(inputs, JSON.stringify(commandLines));
  const { code, stderr } = await runBounded(process.execPath, [many, inputs, results], {
    deadlineMs: 240_000,
  });
  if (code !== 0) throw new Error(`the command lines ended their process: ${stderr}`);
  const printed = JSON.parse(readFileSync(results, 'utf8')) as Printed[];
  if (printed.length !== commandLines.length) throw new Error(`${printed.length} results`);
  return printed;
};

/** The one JSON document on stdout. */
export const json = (stdout: string): Record<string, unknown> => {
  if (!/^[^\n]+\n$/.test(stdout)) throw new Error(`not one line: ${stdout}`);
  return JSON.parse(stdout) as Record<string, unknown>;
};

/** `models import` of the tests' bare model. */
export const importBare = (file: string, ...rest: readonly string[]): string[] => [
  ...['models', 'import', file, '--head', 'yolox', '--names', 'car,truck'],
  ...rest,
];
