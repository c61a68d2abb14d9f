// Runs many command lines in one process (starting one for each costs a second): argument lists in, what each printed out.
import { CommanderError } from 'commander';
import { readFileSync, writeFileSync } from 'node:fs';
import { Cli } from '../../src/cli/cli.js';
import { buildProgram } from '../../src/cli/program.js';

const [inputs = '', results = ''] = process.argv.slice(2);
const commandLines = JSON.parse(readFileSync(inputs, 'utf8')) as string[][];
const done: { code: number; stdout: string; stderr: string }[] = [];

for (const args of commandLines) {
  const printed = { stdout: '', stderr: '' };
  for (const stream of ['stdout', 'stderr'] as const) {
    process[stream].write = (chunk: string | Uint8Array): boolean => {
      printed[stream] += Buffer.from(chunk as Uint8Array).toString();
      return true;
    };
  }
  process.exitCode = 0;
  const program = buildProgram(new Cli());
  try {
    await program.parseAsync(args, { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    process.exitCode = 2;
  }
  done.push({ code: Number(process.exitCode), ...printed });
}
process.exitCode = 0;
writeFileSync(results, JSON.stringify(done));
