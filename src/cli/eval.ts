// `bitlane eval`: what a model is worth on a data set, and what it costs on this device.
import {
  type ClassMap,
  CONFUSION_DEFAULTS,
  type DataSet,
  describeDevice,
  type DeviceDescription,
  type Evaluation,
  evaluate,
  type Interval,
  mapClasses,
  openDataSet,
  parseClassOverrides,
  predict,
  PREDICT_DEFAULTS,
  type Predictions,
} from '../evaluation/index.js';
import { type Artifact, resolveModel } from '../registry/index.js';
import type { AddCommand } from './commands.js';
import { findPlace } from './place.js';
import { alignColumns, numberOption } from './values.js';

interface Options {
  readonly model: string;
  readonly data: string;
  readonly split: string;
  readonly map?: string;
  readonly limit?: string;
  readonly threads?: string;
  readonly score?: string;
  readonly iou?: string;
  readonly config?: string;
  readonly state?: string;
}

interface Settings {
  readonly threads: number;
  readonly score: number;
  readonly iou: number;
  readonly maxDetections: number;
}

interface Measured {
  readonly artifact: Artifact;
  readonly dataSet: DataSet;
  readonly map: ClassMap;
  readonly settings: Settings;
  readonly predictions: Predictions;
  readonly evaluation: Evaluation;
  readonly device: DeviceDescription;
  readonly notes: readonly string[];
}

/** JSON knows no NaN: a figure without meaning is `null`. */
const finite = (value: number): number | null => (Number.isFinite(value) ? value : null);

const range = (interval: Interval | undefined): { low: number | null; high: number | null } => ({
  low: finite(interval?.low ?? Number.NaN),
  high: finite(interval?.high ?? Number.NaN),
});

/** The JSON document. */
const documentOf = (measured: Measured) => {
  const { artifact, dataSet, map, settings, predictions, evaluation, device, notes } = measured;
  const { precision, confusion, pairs, criticalAccuracy, intervals } = evaluation;
  const name = (id: number): string => map.classes[id] ?? '';
  return {
    map50: finite(precision.map50),
    map5095: finite(precision.map5095),
    intervals: { map50: range(intervals?.map50), map5095: range(intervals?.map5095) },
    criticalAccuracy: { ...criticalAccuracy, ...range(intervals?.criticalAccuracy) },
    criticalClasses: evaluation.criticalClasses.map(name),
    pairs: pairs.map((pair) => ({ ...pair, a: name(pair.a), b: name(pair.b) })),
    classes: precision.classes.map((figures, id) => ({
      name: name(id),
      ...figures,
      inModel: map.mapped[id] === true,
    })),
    confusion: {
      ...CONFUSION_DEFAULTS,
      labels: [...confusion.classes, 'background'],
      counts: confusion.counts,
    },
    latency: predictions.latency,
    nonFinite: predictions.nonFinite,
    settings,
    model: { id: artifact.id, name: artifact.manifest.name },
    data: {
      name: dataSet.name,
      path: dataSet.path,
      split: dataSet.split,
      pictures: dataSet.images.length,
      objects: precision.classes.reduce((sum, { objects }) => sum + objects, 0),
    },
    device,
    notes,
  };
};

type Document = ReturnType<typeof documentOf>;

const figure = (value: number | null): string => (value === null ? '-' : value.toFixed(3));
const withRange = (
  value: number | null,
  { low, high }: { low: number | null; high: number | null },
): string => `${figure(value)}  (95 %: ${figure(low)} to ${figure(high)})`;
const milliseconds = (value: number): string => `${value.toFixed(1)} ms`;

/** What people read. */
const textOf = (document: Document): string => {
  const { classes, confusion, pairs, latency, device, data, model, settings, criticalAccuracy } = document;
  const critical = pairs.filter((pair) => pair.critical);
  return [
    `${model.name} (${model.id.slice(0, 12)}) on ${data.name}, ${data.split}: ${data.pictures} pictures, ${data.objects} objects`,
    '',
    `mAP50     ${withRange(document.map50, document.intervals.map50)}`,
    `mAP50-95  ${withRange(document.map5095, document.intervals.map5095)}`,
    '',
    ...alignColumns([
      ['class', 'objects', 'AP50', 'AP50-95'],
      ...classes.map(({ name, objects, ap50, ap5095 }) => [
        name,
        String(objects),
        figure(ap50),
        figure(ap5095),
      ]),
    ]),
    '',
    `Confusion (score > ${confusion.score}, IoU > ${confusion.iou}): rows are the truth, columns what it was taken for`,
    ...alignColumns([
      ['', ...confusion.labels],
      ...confusion.counts.map((row, id) => [confusion.labels[id] ?? '', ...row.map(String)]),
    ]),
    '',
    ...(critical.length === 0
      ? ['No pair of classes is critical.']
      : [
          ...alignColumns([
            ['critical pair', 'confused', 'support', 'rate', 'at least'],
            ...critical.map((pair) => [
              `${pair.a}, ${pair.b}`,
              String(pair.confused),
              String(pair.support),
              figure(pair.rate),
              figure(pair.lower),
            ]),
          ]),
          `critical accuracy  ${withRange(criticalAccuracy.value, criticalAccuracy)}, ${criticalAccuracy.support} objects`,
        ]),
    '',
    ...alignColumns([
      ['latency', 'p50', 'p95'],
      ['model', milliseconds(latency.inference.p50Ms), milliseconds(latency.inference.p95Ms)],
      ['pixels to detections', milliseconds(latency.whole.p50Ms), milliseconds(latency.whole.p95Ms)],
    ]),
    `on ${device.name}, ${settings.threads} of ${device.cores} threads`,
    ...document.notes.map((note) => `note: ${note}`),
  ].join('\n');
};

export const addEval: AddCommand = (program, cli) => {
  const { threads, score, iou, maxDetections } = PREDICT_DEFAULTS;
  program
    .command('eval')
    .description('measure a model on a data set: average precision, confusion, critical accuracy, latency')
    .requiredOption(
      '--model <model>',
      'an artifact folder, an .onnx file with its manifest, or an installed id',
    )
    .requiredOption('--data <data>', 'a data.yaml, a COCO .json, or a folder that holds one')
    .option('--split <split>', 'train, val or test', 'val')
    .option('--map <pairs>', 'model-class=data-class,... where names do not meet by themselves')
    .option('--limit <n>', 'take the first n pictures only')
    .option('--threads <n>', `threads of the model (default ${threads})`)
    .option('--score <s>', `lowest score that counts for average precision (default ${score})`)
    .option('--iou <t>', `overlap above which a box is suppressed (default ${iou})`)
    .option('--config <file>', "the daemon's configuration, for an installed id")
    .option('--state <dir>', 'the state folder, instead of the one in the configuration')
    .option('--json', 'print one JSON document')
    .addHelpText(
      'after',
      '\nExample:\n  bitlane eval --model ./yolox-nano --data ./highway/data.yaml --split val --json',
    )
    .action(
      cli.action(async (options: Options) => {
        const settings: Settings = {
          threads: numberOption('--threads', options.threads, { min: 1, max: 256, integer: true }, threads),
          score: numberOption('--score', options.score, { min: 0.0001, max: 1 }, score),
          iou: numberOption('--iou', options.iou, { min: 0.01, max: 1 }, iou),
          maxDetections,
        };
        const limit = numberOption('--limit', options.limit, { min: 1, max: 1e9, integer: true }, undefined);
        const overrides = parseClassOverrides(options.map ?? '');
        const artifact = await resolveModel(options.model, findPlace(options));
        const dataSet = openDataSet(options.data, {
          split: options.split,
          ...(limit === undefined ? {} : { limit }),
        });
        const map = mapClasses(artifact.manifest.detector.classes, dataSet.classes, overrides);
        const bar = cli.progress('evaluating', dataSet.images.length, 'pictures');
        let predictions: Predictions;
        try {
          predictions = await predict(
            artifact,
            dataSet,
            map,
            settings,
            (done) => bar.update(done),
            cli.signal,
          );
        } finally {
          bar.stop();
        }
        const evaluation = evaluate(predictions.results, map, { maxDetections });
        const notes = [
          ...dataSet.notes,
          ...map.notes,
          ...(predictions.nonFinite > 0
            ? [`${predictions.nonFinite} outputs of the model were not finite numbers and were left out`]
            : []),
        ];
        const document = documentOf({
          artifact,
          dataSet,
          map,
          settings,
          predictions,
          evaluation,
          device: describeDevice(),
          notes,
        });
        cli.print(document, () => textOf(document));
      }),
    );
};
