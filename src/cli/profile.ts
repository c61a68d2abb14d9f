// `bitlane profile`: what a model's precisions cost on this device, and its fastest plan.
import { type Profile, profileModel, writeProfile } from '../allocation/index.js';
import { detectorMemory } from '../detector/index.js';
import { openDataSet } from '../evaluation/index.js';
import { readModel } from '../onnx/index.js';
import { type FeedSource, pictureFeeds } from '../quantization/index.js';
import { type Artifact, type InputSpec, resolveModel } from '../registry/index.js';
import { noiseBytes, noiseTensor } from '../runtime/index.js';
import { inputValue } from '../vision/index.js';
import type { AddCommand } from './commands.js';
import { findPlace, type PlaceOptions } from './place.js';
import { alignColumns, numberOption } from './values.js';

interface Options extends PlaceOptions {
  readonly model: string;
  readonly data?: string;
  readonly split: string;
  readonly threads?: string;
  readonly seconds?: string;
  readonly out?: string;
}

const PICTURES = 8;
const SECONDS = 180;

/** Pictures of noise: what times are concerned they are as good as any. */
const noiseFeeds =
  (input: InputSpec): FeedSource =>
  () => {
    const { mean, scale } = input;
    const { name, type, dims } = inputValue(input);
    if (type === 'uint8') return [{ [name]: noiseBytes(dims) }];
    const plane = input.width * input.height;
    const picture = noiseTensor(dims);
    picture.data.forEach((value, i) => {
      const channel = Math.floor(i / plane);
      picture.data[i] = (value - (mean[channel] ?? 0)) * (scale[channel] ?? 1);
    });
    return [{ [name]: picture }];
  };

const feedsOf = ({ manifest }: Artifact, { data, split }: Options): FeedSource => {
  const { input } = manifest.detector;
  return data === undefined ? noiseFeeds(input) : pictureFeeds(openDataSet(data, { split }), input, PICTURES);
};

const ms = (value: number): string => value.toFixed(3);
const per = (share: number): string => `${(100 * share).toFixed(1)} %`;
const mb = (value: number | null): string => (value === null ? 'not measured' : `${value.toFixed(0)} MB`);

const kernelsText = ({ exact8Bit, weightBits, configuration }: Profile['kernels']): string => {
  if (exact8Bit) return 'integer kernels are exact with 8-bit weights';
  return weightBits === 7
    ? 'integer kernels saturate with 8-bit weights: 7-bit ones are used'
    : `integer kernels saturate with 8-bit weights: exact ones are used (${Object.keys(configuration).join(', ')})`;
};

/** What people read. */
const textOf = (profile: Profile): string => {
  const { uniform, prediction, plan, memoryMb, device, folding } = profile;
  const inInt8 = profile.regions.filter(({ execution }) => execution === 'int8').length;
  const correlation = prediction.rankCorrelation?.toFixed(2) ?? '-';
  return [
    `${profile.model.name} (${profile.model.id.slice(0, 12)}) on ${device.name}, ${profile.threads} of ${device.cores} threads`,
    '',
    ...alignColumns([
      ['region', 'layers', 'fp32 ms', 'int8 ms', 'plan'],
      ...profile.regions.map(({ name, components, fp32Ms, int8Ms, execution }) => [
        name,
        String(components.length),
        ms(fp32Ms),
        ms(int8Ms),
        execution,
      ]),
    ]),
    '',
    ...alignColumns([
      ['whole model', 'time', 'to fp32', 'peak memory'],
      ['fp32', `${ms(uniform.fp32Ms)} ms`, '1.000', mb(memoryMb.fp32)],
      ['int8', `${ms(uniform.int8Ms)} ms`, uniform.int8Ratio.toFixed(3), mb(memoryMb.int8)],
      [
        `plan, ${inInt8} of ${profile.regions.length} regions int8`,
        `${ms(plan.fp32Ratio * uniform.fp32Ms)} ms`,
        plan.fp32Ratio.toFixed(3),
        mb(memoryMb.plan),
      ],
    ]),
    '',
    `The plan takes ${plan.latencyRatio.toFixed(3)} of the time of ${plan.against} throughout, measured side by side in ${plan.rounds} rounds.`,
    `The prediction is ${per(prediction.medianError)} off in the median and ${per(prediction.worstError)} at worst over ${prediction.plans} random plans (rank correlation ${correlation}).`,
    kernelsText(profile.kernels),
    ...(folding.isUsed ? ['slices in front of fp32 layers are folded into them'] : []),
  ].join('\n');
};

export const addProfile: AddCommand = (program, cli) => {
  program
    .command('profile')
    .description(
      "measure this device's latency table for a model: regions in int8 and fp32, and the fastest plan",
    )
    .requiredOption(
      '--model <model>',
      'an artifact folder, an .onnx file with its manifest, or an installed id',
    )
    .option('--data <data>', 'pictures to measure ranges on (a data set; noise where it is left out)')
    .option('--split <split>', 'train, val or test', 'val')
    .option('--threads <n>', 'threads of the model (default 1)')
    .option('--seconds <s>', `about how long to measure (default ${SECONDS})`)
    .option('--out <file>', 'write the profile to this file')
    .option('--config <file>', "the daemon's configuration, for an installed id")
    .option('--state <dir>', 'the state folder, instead of the one in the configuration')
    .option('--json', 'print the profile as one JSON document')
    .addHelpText(
      'after',
      '\nStop what else runs on the device first.\n\nExample:\n  bitlane profile --model ./yolox-nano --out yolox-nano.profile.json',
    )
    .action(
      cli.action(async (options: Options) => {
        const threads = numberOption('--threads', options.threads, { min: 1, max: 64, integer: true }, 1);
        const seconds = numberOption('--seconds', options.seconds, { min: 1, max: 86_400 }, SECONDS);
        const artifact = await resolveModel(options.model, findPlace(options));
        const feeds = feedsOf(artifact, options);
        const { id, manifest } = artifact;
        const bar = cli.progress('measuring', Math.ceil(seconds), 's');
        let profile: Profile;
        try {
          ({ profile } = await profileModel(readModel(artifact.modelPath), feeds, {
            model: { id, name: manifest.name },
            threads,
            seconds,
            signal: cli.signal,
            onProgress: (gone) => bar.update(Math.min(Math.round(gone), Math.ceil(seconds))),
            memoryOf: (model) => detectorMemory(model, manifest, threads),
          }));
        } finally {
          bar.stop();
        }
        if (options.out !== undefined) writeProfile(options.out, profile);
        cli.print(profile, () => textOf(profile));
      }),
    );
};
