// One training process: a step for each line `step` on its input, then its peak memory. As training-torch.py does it.
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { Trainer } from '../../src/training/index.js';
import { OPTIMIZER, setup } from './training-setup.js';

const say = (value: unknown): void => void process.stdout.write(`${JSON.stringify(value)}\n`);

const [, , modelPath = '', batch = '8', threads = '2'] = process.argv;
const { graph, feeds } = setup(modelPath, Number(batch));
const trainer = await Trainer.open(graph, { optimizer: OPTIMIZER, threads: Number(threads) });
say({ ready: process.version });
for await (const line of createInterface({ input: process.stdin })) {
  if (line !== 'step') break;
  const start = performance.now();
  const { loss } = await trainer.step(feeds);
  say({ ms: performance.now() - start, loss });
}
const peak = /VmHWM:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1];
say({ peakKb: Number(peak) });
await trainer.release();
