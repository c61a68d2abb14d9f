// A run: it learns, it stops and goes on as if it had not, and what does not belong to it is refused.
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { componentsOf, uniformAllocation } from '../../../src/quantization/index.js';
import {
  buildTraining,
  type OptimizerOptions,
  startState,
  Trainer,
  type TrainingGraph,
  type TrainingState,
} from '../../../src/training/index.js';
import { readCheckpoint, writeCheckpoint } from '../../../src/training/loop/checkpoint.js';
import { batchOf, distance, smallModel } from '../small.js';

const BATCH = 2;
const STEPS = 6;

const options = (kind: 'sgd' | 'adamw', rate = 0.02): OptimizerOptions => ({
  kind,
  schedule: { rate, steps: STEPS, warmUp: 2 },
  weightDecay: 0.01,
  clipNorm: 5,
  average: { decay: 0.9, rampSteps: 2 },
});

const graphOf = (): TrainingGraph => {
  const model = smallModel({ normalized: true });
  return buildTraining(model, {
    batch: BATCH,
    loss: distance,
    normalization: 'batch',
    weights: { allocation: uniformAllocation(componentsOf(model), 4, 'fp32') },
  });
};

const run = async (
  graph: TrainingGraph,
  optimizer: OptimizerOptions,
  state: TrainingState,
  steps: number,
): Promise<number[]> => {
  const trainer = await Trainer.open(graph, { optimizer, state });
  const losses: number[] = [];
  try {
    for (let i = 0; i < steps; i++) losses.push((await trainer.step(batchOf(BATCH, 1 + state.step))).loss);
  } finally {
    await trainer.release();
  }
  return losses;
};

t.test('a run that stops and goes on gives the same weights, to the last bit', async (t) => {
  const graph = graphOf();
  for (const kind of ['sgd', 'adamw'] as const) {
    const optimizer = options(kind);
    const whole = startState(graph, optimizer);
    await run(graph, optimizer, whole, STEPS);

    const path = join(t.testdir(), 'run.ckpt');
    const first = startState(graph, optimizer);
    await run(graph, optimizer, first, 2);
    const history = { steps: [], validations: [{ step: 2, map50: 0.5, map5095: 0.25 }] };
    const best = new Map([['w', Float32Array.of(1, 2)]]);
    writeCheckpoint(path, 'run 1', { state: first, history, best });
    // Another process: the graph is built again, the state comes from the file.
    const again = graphOf();
    const second = startState(again, optimizer);
    t.strictSame(readCheckpoint(path, 'run 1', second), { state: second, history, best });
    t.equal(second.step, 2);
    await run(again, optimizer, second, STEPS - 2);
    t.strictSame(second, whole);
    t.notSame(whole.slots, startState(graph, optimizer).slots, 'something was learned');
    t.notSame(whole.statistics, startState(graph, optimizer).statistics, 'statistics moved');
  }
});

t.test('losses fall under both optimizers, with fake quantization', async (t) => {
  const graph = graphOf();
  for (const kind of ['sgd', 'adamw'] as const) {
    const optimizer = { ...options(kind), schedule: { rate: 0.02, steps: 40, warmUp: 2 } };
    const state = startState(graph, optimizer);
    const trainer = await Trainer.open(graph, { optimizer, state });
    const losses: number[] = [];
    for (let i = 0; i < 40; i++) losses.push((await trainer.step(batchOf(BATCH, 7))).loss);
    await trainer.release();
    t.ok((losses.at(-1) ?? 1) < 0.3 * (losses[0] ?? 0), `${kind}: ${losses[0]} to ${losses.at(-1)}`);
  }
});

t.test('what is no number changes nothing', async (t) => {
  const graph = graphOf();
  const optimizer = options('sgd');
  const state = startState(graph, optimizer);
  const trainer = await Trainer.open(graph, { optimizer, state });
  const { image, target } = batchOf(BATCH, 3);
  if (image === undefined || target === undefined) throw new Error('no batch');
  const broken = { ...target, data: new Float32Array(target.data.length).fill(NaN) };
  await t.rejects(trainer.step({ image, target: broken } as never), { code: 'BAD_MODEL' });
  await trainer.release();
  t.strictSame(state, startState(graph, optimizer));
});

t.test('checkpoints that are none are refused', async (t) => {
  const graph = graphOf();
  const optimizer = options('adamw');
  const state = startState(graph, optimizer);
  const path = join(t.testdir(), 'run.ckpt');
  writeCheckpoint(path, 'run 1', { state, history: { steps: [], validations: [] }, best: undefined });
  const bytes = readFileSync(path);
  const refused = (change: () => void, rule: RegExp, other = optimizer, name = 'run 1'): void => {
    change();
    const state = startState(graph, other);
    t.throws(() => readCheckpoint(path, name, state), { code: 'BAD_USAGE', message: rule });
  };
  refused(() => writeFileSync(path, bytes.subarray(0, 1000)), /truncated or altered/);
  refused(() => writeFileSync(path, bytes.subarray(0, 5)), /truncated or altered/);
  refused(() => {
    const altered = Buffer.from(bytes);
    altered[600] = (altered[600] ?? 0) ^ 1;
    writeFileSync(path, altered);
  }, /truncated or altered/);
  refused(() => writeFileSync(path, bytes), /another run/, optimizer, 'run 2');
  refused(() => writeFileSync(path, bytes), /holds no second/, options('sgd'));
  rmSync(path);
  t.equal(readCheckpoint(path, 'run 1', startState(graph, optimizer)), undefined, 'none is there');
});
