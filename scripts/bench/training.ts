// `npm run bench:training`: a step of quantization-aware training against the same step in PyTorch, in turns.
import type { ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface, type Interface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { BitlaneError } from '../../src/errors.js';
import { levelsOf } from '../../src/quantization/index.js';
import { hashFile } from '../../src/registry/index.js';
import { packageRoot, runBounded, spawnOwned, stopChild } from '../../src/system/index.js';
import {
  countOption,
  dataPath,
  type Figure,
  medianFigure,
  printReport,
  readOptions,
  runBench,
} from './lib.js';
import { describe } from './training-describe.js';
import { placesOf } from './training-loss.js';
import { BITS, CLIP, RATE, setup, SIDE } from './training-setup.js';

const PYTHON = '/usr/bin/python3';
const WARM_UP = 2;
const GRACE_MS = 2_000;

const readySchema = z.object({ ready: z.string() });
const stepSchema = z.object({ ms: z.number(), loss: z.number() });
const peakSchema = z.object({ peakKb: z.number() });

/** A process that makes a step for each line it gets. */
class Stepper {
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;

  constructor(command: string, args: readonly string[]) {
    this.#child = spawnOwned(command, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    const { stdout } = this.#child;
    if (stdout === null) throw new BitlaneError('INTERNAL', 'the process has no output');
    const reader: Interface = createInterface({ input: stdout });
    this.#lines = reader[Symbol.asyncIterator]();
  }

  async #answer<T>(schema: z.ZodType<T>): Promise<T> {
    const line = await this.#lines.next();
    if (line.done === true) throw new BitlaneError('INTERNAL', 'a training process ended before its time');
    return schema.parse(JSON.parse(line.value));
  }

  async ready(): Promise<string> {
    return (await this.#answer(readySchema)).ready;
  }

  async step(): Promise<{ readonly ms: number; readonly loss: number }> {
    this.#child.stdin?.write('step\n');
    return this.#answer(stepSchema);
  }

  async end(): Promise<number> {
    this.#child.stdin?.write('end\n');
    return (await this.#answer(peakSchema)).peakKb;
  }

  async stop(): Promise<void> {
    await stopChild(this.#child, GRACE_MS);
  }
}

const hasTorch = async (): Promise<boolean> => {
  const { outcome, code } = await runBounded(PYTHON, ['-c', 'import torch'], { deadlineMs: 60_000 });
  return outcome === 'exit' && code === 0;
};

interface Measured {
  readonly times: readonly (readonly [number, number])[];
  readonly peaks: readonly [number, number];
  readonly losses: readonly [number, number];
  readonly version: string;
}

/** Both processes open, one step each in turns. */
const inTurns = async (ours: Stepper, theirs: Stepper, rounds: number): Promise<Measured> => {
  try {
    await ours.ready();
    const version = await theirs.ready();
    const losses: [number, number] = [(await ours.step()).loss, (await theirs.step()).loss];
    for (let i = 1; i < WARM_UP; i++) {
      await ours.step();
      await theirs.step();
    }
    const times: [number, number][] = [];
    for (let round = 0; round < rounds; round++)
      times.push([(await ours.step()).ms, (await theirs.step()).ms]);
    return { times, losses, version, peaks: [await ours.end(), await theirs.end()] };
  } finally {
    await ours.stop();
    await theirs.stop();
  }
};

const figuresOf = (openings: readonly Measured[]): Figure[] => {
  const times = openings.flatMap((opening) => opening.times);
  const peaks = openings.map((opening) => opening.peaks);
  return [
    medianFigure(
      'step.timeRatioToPytorch',
      'ratio',
      times.map(([a, b]) => a / b),
    ),
    medianFigure(
      'step.memoryRatioToPytorch',
      'ratio',
      peaks.map(([a, b]) => a / b),
    ),
    medianFigure(
      'step.ms',
      'ms',
      times.map(([a]) => a),
    ),
    medianFigure(
      'step.pytorchMs',
      'ms',
      times.map(([, b]) => b),
    ),
    medianFigure(
      'step.peakMb',
      'MB',
      peaks.map(([a]) => a / 1024),
    ),
    medianFigure(
      'step.pytorchPeakMb',
      'MB',
      peaks.map(([, b]) => b / 1024),
    ),
    medianFigure(
      'step.lossDifference',
      'share',
      openings.map(({ losses: [a, b] }) => Math.abs(a - b) / b),
    ),
  ];
};

await runBench(async () => {
  const values = readOptions({
    json: { type: 'boolean', default: false },
    model: { type: 'string' },
    batch: { type: 'string', default: '8' },
    threads: { type: 'string', default: '2' },
    openings: { type: 'string', default: '3' },
    rounds: { type: 'string', default: '8' },
  });
  const modelPath = dataPath(values.model, '--model', 'models', 'yolox-nano', 'yolox_nano.onnx');
  const [batch, threads, openings, rounds] = (['batch', 'threads', 'openings', 'rounds'] as const).map(
    (name) => countOption(values[name], `--${name}`),
  );
  if (batch === undefined || threads === undefined || openings === undefined || rounds === undefined) return;
  const report = {
    bench: 'training',
    model: { path: modelPath, sha256: await hashFile(modelPath) },
    data: { pictures: 'noise', side: SIDE, batch, threads, weightBits: BITS },
  };
  if (!(await hasTorch())) {
    process.stderr.write(`skipped: ${PYTHON} has no torch (Debian: apt install python3-torch)\n`);
    printReport({ ...report, figures: [] }, values.json);
    return;
  }
  const folder = mkdtempSync(join(tmpdir(), 'bitlane-training-'));
  try {
    const { model, components, graph, feeds } = setup(modelPath, batch);
    const { low, high } = levelsOf({ bits: BITS, signed: true, symmetric: true });
    describe(folder, {
      model,
      batch,
      parameters: graph.parameters,
      quantizers: Object.fromEntries(
        components.map(({ weight, name }) => [weight, { scale: `${name}/step-size`, low, high }]),
      ),
      feeds,
      places: placesOf(SIDE),
      rate: RATE,
      norm: CLIP,
    });
    const child = fileURLToPath(new URL('./training-child.js', import.meta.url));
    const script = join(packageRoot, 'scripts', 'bench', 'training-torch.py');
    const measured: Measured[] = [];
    for (let i = 0; i < openings; i++) {
      const ours = new Stepper(process.execPath, [child, modelPath, String(batch), String(threads)]);
      const theirs = new Stepper(PYTHON, [script, folder, String(threads)]);
      measured.push(await inTurns(ours, theirs, rounds));
    }
    const versions = new Set(measured.map(({ version }) => version));
    printReport(
      { ...report, data: { ...report.data, pytorch: [...versions][0] }, figures: figuresOf(measured) },
      values.json,
    );
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
