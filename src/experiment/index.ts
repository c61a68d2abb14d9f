// The paper's experiment: every way to give bits, held against each other on the same pictures.
export { type HaqLayer, type HaqOptions, type HaqResult, searchBits } from './search/haq.js';
export { type ClassPair, QUICK_SCALE, type Scale, type Setting, USUAL_SCALE } from './setting.js';
export { FAMILIES, type Family, type Row, ROWS, type Search, SEARCHES } from './rows/row.js';
export { chosenRows, type Experiment, runExperiment, type RunOptions } from './run.js';
export {
  type ExperimentResult,
  type MeasuredRow,
  resultSchema,
  type RowResult,
  rowResultSchema,
} from './result.js';
export {
  type Difference,
  differenceOf,
  figureOf,
  intervalOfRow,
  type ResultRow,
  verdictOf,
} from './compare.js';
export { COMPARED_ROWS, hypothesesOf, type Hypothesis, type Outcome, outcomesOf } from './hypothesis.js';
export { distilledPictures, noisePictures } from './rows/distilled.js';
export { experimentPage, type ReportParts } from './report/page.js';
export { experimentMarkdown } from './report/markdown.js';
export { cellsOf, conclusions, HEAD, notesOf } from './report/words.js';
export { judgedPlaces, type Places } from './places.js';
export { type FigureName, FIGURES } from './judge.js';
