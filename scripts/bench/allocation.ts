// `npm run bench:allocation`: how fast and exact solvers are, whether budgets are met, and what objectives are worth.
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { parseProfile } from '../../src/allocation/index.js';
import { BitlaneError } from '../../src/errors.js';
import { readSignificance } from '../../src/significance/index.js';
import { budgetFigures } from './allocation-budgets.js';
import { type AllocationPart, Store } from './allocation-lib.js';
import { objectiveFigures, ROWS } from './allocation-objectives.js';
import { solverFigures } from './allocation-solver.js';
import { countOption, dataPath, type Figure, printReport, runBench } from './lib.js';
import { nanoArtifact } from './nano.js';
import { openBench } from './quantize-lib.js';

const PARTS: Readonly<Record<string, AllocationPart>> = {
  solver: solverFigures,
  budgets: budgetFigures,
  objectives: objectiveFigures,
};

await runBench(async () => {
  const { values } = parseArgs({
    options: {
      json: { type: 'boolean', default: false },
      model: { type: 'string' },
      data: { type: 'string' },
      significance: { type: 'string' },
      profile: { type: 'string' },
      pictures: { type: 'string', default: '64' },
      limit: { type: 'string' },
      parts: { type: 'string', default: Object.keys(PARTS).join(',') },
      bits: { type: 'string', default: '3,3.5,4,5' },
      objectives: {
        type: 'string',
        default: 'portfolio,semantic,relativeWeightError,taskAgnostic,paperPure,uniform',
      },
      budgets: { type: 'string', default: '30' },
      'search-only': { type: 'boolean', default: false },
      keep: { type: 'string' },
    },
  });
  const parts = values.parts.split(',').map((name) => {
    const part = Object.hasOwn(PARTS, name) ? PARTS[name] : undefined;
    if (part !== undefined) return part;
    throw new BitlaneError('BAD_USAGE', `--parts takes ${Object.keys(PARTS).join(', ')}, not ${name}`);
  });
  const bits = values.bits.split(',').map((text) => {
    const width = Number(text);
    if (width >= 2 && width <= 8) return width;
    throw new BitlaneError('BAD_USAGE', `--bits takes numbers from 2 to 8, not ${text}`);
  });
  const known: readonly string[] = ROWS;
  const objectives = values.objectives.split(',');
  const strange = objectives.find((name) => !known.includes(name));
  if (strange !== undefined) {
    throw new BitlaneError('BAD_USAGE', `--objectives takes ${known.join(', ')}, not ${strange}`);
  }
  const pictures = countOption(values.pictures, '--pictures');
  const limit = values.limit === undefined ? undefined : countOption(values.limit, '--limit');
  const modelPath = dataPath(values.model, '--model', 'models', 'yolox-nano', 'yolox_nano.onnx');
  const data = dataPath(values.data, '--data', 'highway');
  const { artifact, remove } = await nanoArtifact(modelPath);
  try {
    const bench = openBench(artifact, data, { pictures, ...(limit !== undefined && { limit }) });
    const map = values.significance === undefined ? undefined : readSignificance(values.significance);
    const profile =
      values.profile === undefined
        ? undefined
        : parseProfile(readFileSync(values.profile, 'utf8'), values.profile);
    const count = countOption(values.budgets, '--budgets');
    const given = {
      bench,
      map,
      profile,
      bits,
      objectives,
      count,
      isSearchOnly: values['search-only'],
      limit,
      store: new Store(values.keep),
    };
    const figures: Figure[] = [];
    for (const part of parts) figures.push(...(await part(given)));
    printReport(
      {
        bench: 'allocation',
        model: { id: artifact.id, name: artifact.manifest.name },
        data: {
          calibration: { split: bench.train.split, pictures },
          validation: { split: bench.valid.split, pictures: bench.valid.images.length },
          significance: map === undefined ? null : { data: map.data, objects: map.critical.objects },
          profile: profile === undefined ? null : { measuredAt: profile.measuredAt },
        },
        figures,
      },
      values.json,
    );
  } finally {
    remove();
  }
});
