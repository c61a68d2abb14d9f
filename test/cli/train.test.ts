// `bitlane train` and `bitlane finetune`: from a definition to an artifact, and on from there, in FP32 and under quantization.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { readModel } from '../../src/onnx/index.js';
import { readArtifactFolder } from '../../src/registry/index.js';
import { smallNetwork, writeBoxes } from '../training/boxes-data.js';
import { type Printed, runMany } from './lines.js';

const folder = t.testdir();
const at = (name: string): string => join(folder, name);

interface Outcome {
  readonly id: string;
  readonly steps: number;
  readonly firstLoss: number;
  readonly lastLoss: number;
  readonly best: { readonly map50: number } | null;
  readonly before?: { readonly map50: number } | null;
  readonly after?: { readonly map50: number } | null;
  readonly files: { readonly curve: string };
}

const outcome = (
  { code, stdout, stderr }: Printed | undefined = { code: -1, stdout: '', stderr: '' },
): Outcome => {
  if (code !== 0) throw new Error(stderr);
  return JSON.parse(stdout) as Outcome;
};

t.test('from scratch, then on, then under quantization', async (t) => {
  const data = at('data');
  mkdirSync(data);
  await writeBoxes(data);
  writeFileSync(at('small.json'), JSON.stringify(smallNetwork));
  const from = ['finetune', '--model', at('fresh'), '--steps', '6', '--batch', '4', '--json'];
  const results = await runMany(folder, [
    [
      ...['train', '--definition', at('small.json'), '--data', data, '--out', at('fresh'), '--steps', '240'],
      ...['--batch', '4', '--learning-rate', '0.01', '--mosaic', '0', '--validate-every', '60', '--json'],
    ],
    [...from, '--data', data, '--pairs', 'red:blue', '--out', at('tuned')],
    [...from, '--unlabelled', join(data, 'images'), '--out', at('distilled')],
    [...from, '--data', data, '--unlabelled', join(data, 'images'), '--memory', '4000', '--out', at('both')],
    [...from, '--data', data, '--allocation', '4', '--execution', 'fp32', '--out', at('packed')],
    ['eval', '--model', at('packed'), '--data', data, '--json'],
    [...from, '--data', data, '--allocation', '8', '--out', at('integers')],
    ['eval', '--model', at('integers'), '--data', data, '--json'],
    [
      ...[...from, '--unlabelled', join(data, 'images'), '--allocation', '4', '--execution', 'fp32'],
      ...['--method', 'tqt', '--start', 'nearest', '--out', at('thresholds')],
    ],
    [
      ...[...from, '--data', data, '--allocation', '8', '--method', 'dorefa'],
      ...['--activations', 'measured', '--out', at('bent')],
    ],
    ['eval', '--model', at('bent'), '--data', data, '--json'],
  ]);
  const [fresh, tuned, distilled, both, packed] = results.slice(0, 5).map(outcome);
  t.ok((fresh?.lastLoss ?? NaN) < 0.7 * (fresh?.firstLoss ?? NaN), 'the loss fell');
  t.ok(fresh?.best !== null && tuned?.before !== null);
  t.equal(tuned?.before?.map50, fresh?.best?.map50, 'what was written is what was validated');
  t.ok(distilled?.best === null && both?.best !== null);
  const [integers] = results.slice(6, 7).map(outcome);
  const [, bent] = results.slice(8, 10).map(outcome);
  for (const name of ['fresh', 'tuned', 'distilled', 'both', 'packed', 'integers', 'thresholds', 'bent']) {
    const { manifest } = await readArtifactFolder(at(name));
    t.equal(manifest.parentId === null, name === 'fresh');
  }
  const types = readModel(join(at('packed'), 'model.onnx')).graph.initializers.map(({ type }) => type);
  t.ok(types.includes('int4'), 'weights are packed');
  t.equal(results[5]?.code, 0);
  for (const [index, trained] of [[5, packed] as const, [7, integers] as const, [10, bent] as const]) {
    const score = (JSON.parse(results[index]?.stdout ?? '{}') as { map50: number }).map50;
    t.ok(Math.abs(score - (trained?.after?.map50 ?? NaN)) < 0.001, `${score} is what was said of it`);
  }
  const { calibration } = (await readArtifactFolder(at('integers'))).manifest;
  t.equal(calibration?.ranges, 'trained');
  t.match(readFileSync(fresh?.files.curve ?? '', 'utf8'), /^<svg .*mAP50/s);
  t.notOk(existsSync(join(`${at('fresh')}.training`, 'checkpoint.bin')));
});

t.test('plain errors', async (t) => {
  const model = at('fresh');
  const refused = await runMany(folder, [
    ['finetune', '--model', model, '--out', at('x')],
    ['finetune', '--model', model, '--out', model, '--data', at('data')],
    ['finetune', '--model', model, '--out', at('x'), '--data', at('data'), '--pairs', 'red:green'],
    ['finetune', '--model', model, '--out', at('x'), '--data', at('data'), '--learning-rate', 'fast'],
    ['finetune', '--model', model, '--out', at('x'), '--data', at('data'), '--method', 'tqt'],
    [
      ...['finetune', '--model', model, '--out', at('x'), '--data', at('data'), '--allocation', '4'],
      ...['--method', 'guesses'],
    ],
    ['train', '--definition', 'enormous', '--data', 'scene', '--out', at('x')],
    ['train', '--definition', 'tiny', '--data', at('nowhere'), '--out', at('x')],
  ]);
  const messages = [
    /--data, --unlabelled/,
    /is there already/,
    /pairs of the model's classes/,
    /--learning-rate takes a number/,
    /--method goes with --allocation/,
    /--method .*guesses/,
    /neither one of the networks/,
    /does not exist/,
  ];
  refused.forEach(({ code, stderr }, i) => {
    t.equal(code, 2);
    t.match(stderr, messages[i] ?? /^$/);
  });
});
