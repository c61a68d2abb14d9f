// What `bitlane quantize` prints: one document, or a text with the layers that lost most.
import { type DataSet, describeDevice } from '../evaluation/index.js';
import type { QuantizationReport, validationOf } from '../quantization/index.js';
import type { Manifest } from '../registry/index.js';
import { alignColumns } from './values.js';

/** An artifact as it was made and where it is. */
export interface Made {
  readonly id: string;
  readonly manifest: Manifest;
  readonly path: string;
  readonly active: boolean;
  readonly report: QuantizationReport;
  readonly notes: readonly string[];
}

/** JSON knows no infinity: a layer in which nothing differs has `null`. */
export const documentOf = ({ id, manifest, path, active, report, notes }: Made) => ({
  id,
  name: manifest.name,
  model: path,
  active,
  parentId: manifest.parentId,
  ...report,
  layers: report.layers.map(({ component, sqnr }) => ({
    component,
    sqnr: Number.isFinite(sqnr) ? sqnr : null,
  })),
  calibration: manifest.calibration,
  device: describeDevice(),
  notes,
});

const MOST_SHOWN = 10;
const figure = (value: number | null): string => (value === null ? '-' : value.toFixed(3));

export const textOf = ({ id, manifest, path, active, report, notes }: Made): string => {
  const { latency, layers, validation } = report;
  const worst = [...layers].sort((a, b) => a.sqnr - b.sqnr).slice(0, MOST_SHOWN);
  return [
    `${manifest.name} is artifact ${id.slice(0, 12)}${active ? ', and active' : ''}`,
    `  ${path}`,
    `  bytes    ${report.bytes}, ${figure(report.bytesRatio)} of the parent's; ${report.averageBits.toFixed(2)} bits a weight`,
    ...(report.floatLayers.length + report.floatFunctions.length === 0
      ? []
      : [
          `  in fp32  ${report.floatLayers.length} layers, and the functions of ${report.floatFunctions.length} more: found by trying`,
        ]),
    `  one run  ${latency.ms.toFixed(1)} ms, ${figure(latency.ratio.value)} of the parent's (95 %: ${figure(latency.ratio.low)} to ${figure(latency.ratio.high)}; ${latency.rounds} runs in turns, one thread, on ${describeDevice().name})`,
    '',
    ...alignColumns([
      [`layers with the least signal to noise (of ${layers.length})`, 'dB'],
      ...worst.map(({ component, sqnr }) => [component, sqnr.toFixed(1)]),
    ]),
    ...(validation.length === 0
      ? []
      : [
          '',
          ...alignColumns([
            ['validation', 'pictures', 'mAP50', "parent's", 'drop', '95 %'],
            ...validation.map(({ data, pictures, map50, parentMap50, map50Drop }) => [
              data,
              String(pictures),
              figure(map50),
              figure(parentMap50),
              figure(map50Drop.value),
              `${figure(map50Drop.low)} to ${figure(map50Drop.high)}`,
            ]),
          ]),
        ]),
    ...notes.map((note) => `note: ${note}`),
  ].join('\n');
};

/** What should be known of the data. */
export const notesOf = (
  calibration: DataSet,
  validation: readonly ReturnType<typeof validationOf>[],
  pictures: number,
): string[] => {
  const { path, split, images } = calibration;
  return [
    ...(images.length < pictures ? [`${path} has ${images.length} pictures for calibration only`] : []),
    ...(validation.some(({ dataSet }) => dataSet.path === path && dataSet.split === split)
      ? ['validation on the pictures of calibration says too much good of the model']
      : []),
    ...validation.flatMap(({ dataSet, map }) => [...dataSet.notes, ...map.notes]),
  ];
};
