// Int8: the way to run that was chosen without labels, with and without the layers that it leaves in FP32.
import { readFileSync } from 'node:fs';
import { type Int8Candidate, latencyRatio, timeBytes } from '../../src/quantization/index.js';
import { census, type Figure } from './lib.js';
import { type BenchPart, map50Drop } from './quantize-lib.js';

/** Timed runs of each model. */
const ROUNDS = 200;
const LIMIT_MS = 60_000;

export const int8Figures: BenchPart = async (bench) => {
  const { best, without, all } = await bench.choice();
  const named: readonly (readonly [string, Int8Candidate])[] = [
    ['int8.best', best],
    ['int8.best.withoutFp32Layers', without],
    ['int8.all', all],
  ];
  const before = await bench.fp32();
  const pictures = bench.valid.images.length;
  const original = new Uint8Array(readFileSync(bench.parent.modelPath));
  const { name: input, width, height } = bench.parent.manifest.detector.input;
  const [first = [], ...times] = await timeBytes([original, ...named.map(([, { bytes }]) => bytes)], {
    input: { name: input, dims: [1, 3, height, width] },
    rounds: ROUNDS,
    limitMs: LIMIT_MS,
  });
  const figures: Figure[] = [census('fp32.map50', 'mAP50', before.precision.map50, pictures)];
  for (const [index, [name, { bytes, floatLayers, floatFunctions }]] of named.entries()) {
    const own = times[index] ?? [];
    figures.push(
      map50Drop(`${name}.map50Drop`, before, [await bench.evaluate(bytes)], pictures),
      census(`${name}.bytesRatio`, 'ratio', bytes.length / original.length, 1),
      { name: `${name}.latencyRatio`, unit: 'ratio', ...latencyRatio(first, own), runs: own.length },
      census(`${name}.fp32Layers`, 'layers', floatLayers.length, 1),
      census(`${name}.fp32Functions`, 'layers', floatFunctions.length, 1),
    );
  }
  return figures;
};
