// `npm run bench:significance`: layers measured exactly, filters estimated from gradients, forms of significance beside each other.
import { parseArgs } from 'node:util';
import { BitlaneError } from '../../src/errors.js';
import { hashFile } from '../../src/registry/index.js';
import { countOption, dataPath, type Figure, printReport, runBench } from './lib.js';
import { nanoArtifact } from './nano.js';
import { agreementFigures } from './significance-agreement.js';
import { filterFigures } from './significance-filters.js';
import { layerFigures } from './significance-layers.js';

const PAIRS = 'car:truck,bus:car,bus:truck';
const PARTS = ['layers', 'filters', 'agreement'] as const;

await runBench(async () => {
  const { values } = parseArgs({
    options: {
      json: { type: 'boolean', default: false },
      model: { type: 'string' },
      data: { type: 'string' },
      parts: { type: 'string', default: 'layers,filters' },
      maps: { type: 'string' },
      pictures: { type: 'string', default: '300' },
      chunk: { type: 'string', default: '32' },
      layers: { type: 'string', default: '8' },
      state: { type: 'string' },
      'most-chunks': { type: 'string', default: '1000' },
      filters: { type: 'string', default: '300' },
      'filter-pictures': { type: 'string', default: '48' },
      'filter-split': { type: 'string', default: 'val' },
    },
  });
  const parts = new Set(
    values.parts.split(',').map((name) => {
      const part = PARTS.find((known) => known === name);
      if (part !== undefined) return part;
      throw new BitlaneError('BAD_USAGE', `--parts takes ${PARTS.join(', ')}, not ${name}`);
    }),
  );
  const path = dataPath(values.model, '--model', 'models', 'yolox-nano', 'yolox_nano.onnx');
  const data = dataPath(values.data, '--data', 'highway');
  const counts = {
    pictures: countOption(values.pictures, '--pictures'),
    chunk: countOption(values.chunk, '--chunk'),
    layers: countOption(values.layers, '--layers'),
    most: countOption(values['most-chunks'], '--most-chunks'),
    filters: countOption(values.filters, '--filters'),
    filterPictures: countOption(values['filter-pictures'], '--filter-pictures'),
  };
  const { artifact, remove } = await nanoArtifact(path);
  try {
    const figures: Figure[] = [];
    const about: Record<string, unknown> = { pairs: PAIRS, processes: 1, rounding: 'gptq' };
    const given = { artifact, data, pairs: PAIRS, state: values.state };
    if (parts.has('layers')) {
      const found = await layerFigures({ ...given, ...counts });
      figures.push(...found.figures);
      about['layers'] = found.about;
    }
    if (parts.has('filters')) {
      const found = await filterFigures({
        ...given,
        split: values['filter-split'],
        pictures: counts.filterPictures,
        filters: counts.filters,
      });
      figures.push(...found.figures);
      about['filters'] = found.about;
    }
    if (parts.has('agreement')) {
      if (values.maps === undefined) {
        throw new BitlaneError(
          'BAD_USAGE',
          'the part agreement needs --maps with files from `bitlane significance`, separated by commas',
        );
      }
      const found = agreementFigures(values.maps.split(','));
      figures.push(...found.figures);
      about['agreement'] = found.about;
    }
    const model = { id: await hashFile(path), name: 'yolox-nano' };
    printReport({ bench: 'significance', model, data: about, figures }, values.json);
  } finally {
    remove();
  }
});
