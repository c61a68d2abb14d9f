// An experiment as Markdown: what docs/experiment.md holds.
import type { ExperimentResult } from '../result.js';
import { FAMILIES } from '../rows/row.js';
import { cellsOf, COMPARED, comparisonRows, conclusions, HEAD, notesOf, resampledOf } from './words.js';

const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
const table = (head: readonly string[], rows: readonly (readonly string[])[]): string[] => [
  line(head),
  line(head.map(() => '---')),
  ...rows.map(line),
];

/** The tables and conclusions of one experiment; a heading of the second level begins it. */
export const experimentMarkdown = (title: string, result: ExperimentResult): string => {
  const { model, data, pairs, execution, budget, device, scale, rows } = result;
  const seeds = [...new Set(rows.flatMap(({ runs }) => runs.map(({ seed }) => seed)))].sort((a, b) => a - b);
  return [
    `## ${title}`,
    '',
    `${model.name} (${model.id.slice(0, 12)}, ${model.modelBytes} bytes), on ${device}. Tuned on ${data.tuning.pictures} pictures (${data.tuning.name}), judged on ${data.validation.pictures} (${data.validation.name}); intervals are over ${resampledOf(result)}. Critical pairs: ${pairs.map((pair) => pair.join(' and ')).join(', ')}. Mixed rows stay within ${budget.modelBytes} bytes; kernels of mixed and trained rows compute in ${execution}; ${String(scale['steps'])} steps of ${String(scale['batch'])} pictures at a rate of ${String(scale['learningRate'])}; seeds ${seeds.join(', ')}. Ranges and rounding are fitted on ${String(scale['calibrationPictures'])} pictures, searches look at ${String(scale['searchPictures'])}, HAQ makes ${String(scale['episodes'])} trials on ${String(scale['trialPictures'])}; ${String(scale['rounds'])} resamples.`,
    '',
    ...conclusions(result).map((text) => `- ${text}`),
    '',
    ...FAMILIES.flatMap((family) => {
      const own = rows.filter((row) => row.family === family);
      return own.length === 0 ? [] : [`### ${family}`, '', ...table(HEAD, own.map(cellsOf)), ''];
    }),
    ...notesOf(result).map((note) => `- ${note}`),
    '',
    '### At equal bytes',
    '',
    ...table(COMPARED, comparisonRows(result)),
    '',
  ].join('\n');
};
