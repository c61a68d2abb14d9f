// `npm run bench:quantize`: what low bits cost and what they are worth, on YOLOX-nano and labelled road pictures.
import { BitlaneError } from '../../src/errors.js';
import { countOption, dataPath, type Figure, printReport, runBench, readOptions } from './lib.js';
import { nanoArtifact } from './nano.js';
import { bytesFigures } from './quantize-bytes.js';
import { int8Figures } from './quantize-int8.js';
import { type BenchPart, openBench } from './quantize-lib.js';
import { mixFigures } from './quantize-mix.js';
import { timeFigures } from './quantize-time.js';
import { weightsFigures } from './quantize-weights.js';

const PARTS: Readonly<Record<string, BenchPart>> = {
  int8: int8Figures,
  weights: weightsFigures,
  mix: mixFigures,
  time: timeFigures,
  bytes: bytesFigures,
};

await runBench(async () => {
  const values = readOptions({
    json: { type: 'boolean', default: false },
    model: { type: 'string' },
    data: { type: 'string' },
    pictures: { type: 'string', default: '64' },
    limit: { type: 'string' },
    parts: { type: 'string', default: Object.keys(PARTS).join(',') },
  });
  const names = values.parts.split(',');
  const parts = names.map((name) => {
    const part = Object.hasOwn(PARTS, name) ? PARTS[name] : undefined;
    if (part !== undefined) return part;
    throw new BitlaneError('BAD_USAGE', `--parts takes ${Object.keys(PARTS).join(', ')}, not ${name}`);
  });
  const pictures = countOption(values.pictures, '--pictures');
  const modelPath = dataPath(values.model, '--model', 'models', 'yolox-nano', 'yolox_nano.onnx');
  const data = dataPath(values.data, '--data', 'highway');
  const { artifact, remove } = await nanoArtifact(modelPath);
  try {
    const bench = openBench(artifact, data, {
      pictures,
      ...(values.limit !== undefined && { limit: countOption(values.limit, '--limit') }),
    });
    const figures: Figure[] = [];
    for (const part of parts) figures.push(...(await part(bench)));
    printReport(
      {
        bench: 'quantize',
        model: { id: artifact.id, name: artifact.manifest.name },
        data: {
          calibration: { split: bench.train.split, pictures },
          validation: { split: bench.valid.split, pictures: bench.valid.images.length },
        },
        figures,
      },
      values.json,
    );
  } finally {
    remove();
  }
});
