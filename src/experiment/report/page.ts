// The report of an experiment: one page that holds everything it shows.
import { drawAllocation, drawConfusion } from '../../adaptation/index.js';
import { ConfusionMatrix } from '../../evaluation/index.js';
import { type Model } from '../../onnx/index.js';
import { componentsOf, prepareModel } from '../../quantization/index.js';
import { drawMap, type SignificanceMap } from '../../significance/index.js';
import { page, pageHeading, pageParagraph, pagePicture, pageTable } from '../../system/index.js';
import { intervalOfRow, measuredRuns, type ResultRow } from '../compare.js';
import type { FigureName } from '../judge.js';
import type { ExperimentResult } from '../result.js';
import { FAMILIES } from '../rows/row.js';
import { drawScatter, type Point } from './scatter.js';
import {
  cellsOf,
  COMPARED,
  comparisonRows,
  conclusions,
  HEAD,
  interval,
  notesOf,
  resampledOf,
} from './words.js';

export interface ReportParts {
  readonly result: ExperimentResult;
  /** The FP32 model. */
  readonly model: Model;
  /** Where significance was measured. */
  readonly map?: SignificanceMap;
}

const pointsOf = (rows: readonly ResultRow[], figure: FigureName, xOf: (row: ResultRow) => number): Point[] =>
  rows.flatMap((row) => {
    const value = intervalOfRow(row, figure);
    if (value === undefined) return [];
    return [
      {
        x: xOf(row),
        y: value.value,
        low: value.low,
        high: value.high,
        label: `${row.label}: ${interval(value)}`,
        group: row.family,
      },
    ];
  });

const mean = (row: ResultRow, of: (run: ReturnType<typeof measuredRuns>[number]) => number): number => {
  const runs = measuredRuns(row);
  return runs.reduce((sum, run) => sum + of(run), 0) / runs.length;
};

const kilobytes = (row: ResultRow): number => mean(row, ({ modelBytes }) => modelBytes) / 1000;
const time = (row: ResultRow): number => mean(row, ({ latencyRatio }) => latencyRatio.value);

const tables = ({ rows }: ExperimentResult): string[] =>
  FAMILIES.flatMap((family) => {
    const own = rows.filter((row) => row.family === family);
    return own.length === 0 ? [] : [pageParagraph(family, 'note'), pageTable(HEAD, own.map(cellsOf))];
  });

const comparisons = (result: ExperimentResult): string[] => {
  const rows = comparisonRows(result);
  return rows.length === 0 ? [] : [pageTable(COMPARED, rows)];
};

const confusions = ({ rows }: ExperimentResult): string[] => {
  const shown = ['fp32', 'ptq4-gptq', 'mixed-product', 'trained-product'];
  const pictures = rows
    .filter(({ id }) => shown.includes(id))
    .flatMap((row) => {
      const [first] = measuredRuns(row);
      if (first === undefined) return [];
      const { classes, counts } = first.confusion;
      return [pagePicture(drawConfusion(new ConfusionMatrix(classes, counts), row.label))];
    });
  return pictures.length === 0 ? [] : ['<div class="pair">', ...pictures, '</div>'];
};

const allocations = ({ rows }: ExperimentResult, model: Model): string[] => {
  const components = componentsOf(prepareModel(model));
  return rows
    .filter(({ family }) => family === 'mixed')
    .flatMap((row) => {
      const [first] = measuredRuns(row);
      if (first === undefined || first.allocation === null) return [];
      return [pagePicture(drawAllocation(components, first.allocation, `${row.label}: bits of each layer`))];
    });
};

/** A self-contained page. */
export const experimentPage = ({ result, model, map }: ReportParts): string => {
  const { data, pairs, execution, budget, device, scale } = result;
  const about = [
    `${result.model.name} (${result.model.id.slice(0, 12)}), on ${device}. Everything was tuned on ${data.tuning.pictures} pictures of ${data.tuning.name} and judged on ${data.validation.pictures} of ${data.validation.name}.`,
    `Critical pairs: ${pairs.map((pair) => pair.join(' and ')).join(', ')}. Mixed rows all stay within ${budget.modelBytes} bytes, the file of the uniform 4-bit model; their kernels compute in ${execution}. Trained rows all took ${String(scale['steps'])} steps of ${String(scale['batch'])} pictures.`,
    `Values are means over seeds where there are several; intervals are 95 % over ${resampledOf(result)}, and differences are taken on the same ones.`,
  ];
  const scatter = (figure: FigureName, name: string, x: typeof kilobytes, xLabel: string): string =>
    pagePicture(
      drawScatter(pointsOf(result.rows, figure, x), {
        title: `${name} over ${xLabel}`,
        xLabel,
        yLabel: name,
      }),
    );
  const sections: readonly (readonly [string, readonly string[]])[] = [
    [
      'What holds, and what does not',
      [...conclusions(result).map((text) => pageParagraph(text)), ...comparisons(result)],
    ],
    ['The table', [...tables(result), ...notesOf(result).map((text) => pageParagraph(text, 'note'))]],
    [
      'Accuracy over bytes and time',
      [
        scatter('map50', 'mAP50', kilobytes, 'model file, kB'),
        scatter('criticalAccuracy', 'critical accuracy', kilobytes, 'model file, kB'),
        scatter('map50', 'mAP50', time, 'time of a run to FP32'),
        scatter('criticalAccuracy', 'critical accuracy', time, 'time of a run to FP32'),
      ],
    ],
    ['What is confused', confusions(result)],
    ['The significance map', map === undefined ? [] : [pagePicture(drawMap(map))]],
    ['Where the bits went', allocations(result, model)],
  ];
  return page(`The paper's experiment: ${result.model.name}`, [
    ...about.map((text) => pageParagraph(text)),
    ...sections
      .filter(([, parts]) => parts.length > 0)
      .flatMap(([heading, parts], i) => [pageHeading(`${i + 1}. ${heading}`), ...parts]),
  ]);
};
