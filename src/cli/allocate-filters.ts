// `bitlane allocate` with a map by channel: a bit-width for every filter.
import {
  allocateFilters,
  type Budget,
  type ExecutionChoice,
  type FilterAllocation,
  type ObjectiveName,
} from '../allocation/index.js';
import { BitlaneError } from '../errors.js';
import { readModel } from '../onnx/index.js';
import { channelBits } from '../quantization/index.js';
import type { Artifact } from '../registry/index.js';
import type { FilterMap } from '../significance/index.js';
import { writeText } from './write-text.js';
import type { Cli } from './cli.js';
import { alignColumns } from './values.js';

export interface ByFilter {
  readonly artifact: Artifact;
  readonly map: FilterMap;
  readonly objective: ObjectiveName;
  readonly execution: ExecutionChoice | undefined;
  readonly budget: Budget;
  readonly options: {
    readonly out?: string;
    readonly front?: string;
    readonly profile?: string;
    readonly candidates?: string;
    readonly data?: string;
  };
}

const WIDTHS = [2, 4, 8] as const;

/** What a map by channel cannot answer. */
const refuse = ({ execution, budget, options }: ByFilter): void => {
  const strangers = [
    ['--budget-latency', budget.latencyMs],
    ['--budget-memory', budget.memoryMb],
    ['--profile', options.profile],
    ['--front', options.front],
    ['--candidates', options.candidates === 'none' ? undefined : options.candidates],
    ['--data', options.data],
  ] as const;
  const stranger = strangers.find(([, value]) => value !== undefined)?.[0];
  if (stranger !== undefined) {
    throw new BitlaneError(
      'BAD_USAGE',
      `${stranger} is not for a map by channel, which gives bits to filters by their sum and leaves time as it is: take a map by layer`,
    );
  }
  if (execution === 'free') {
    throw new BitlaneError(
      'BAD_USAGE',
      '--execution free is not for a map by channel: say fp32 (the default) or int8, for all layers',
    );
  }
};

const textOf = (title: string, found: FilterAllocation, notes: readonly string[]): string => {
  const rows = found.components.map((component) => {
    const entry = found.allocation.components[component.name];
    const bits = entry === undefined ? [] : channelBits(component, entry);
    return [
      component.name,
      String(component.outputChannels),
      ...WIDTHS.map((width) => String(bits.filter((each) => each === width).length)),
    ];
  });
  return [
    title,
    '',
    ...alignColumns([['layer', 'filters', ...WIDTHS.map((width) => `${width} bits`)], ...rows]),
    '',
    `${found.modelBytes} bytes, ${found.averageBits.toFixed(3)} bits a weight; expected damage ${found.damage.toPrecision(4)}, at least ${found.bound.toPrecision(4)} in weights of that size; ${found.rounds} ${found.rounds === 1 ? 'file' : 'files'} built`,
    ...notes.map((note) => `note: ${note}`),
  ].join('\n');
};

/** Allocates, prints and writes. */
export const workByFilter = async (cli: Cli, given: ByFilter): Promise<void> => {
  refuse(given);
  const { artifact, map, objective, budget, options } = given;
  const found = await allocateFilters(readModel(artifact.modelPath), {
    map,
    objective,
    execution: given.execution === 'int8' ? 'int8' : 'fp32',
    budget: { modelBytes: budget.modelBytes, averageBits: budget.averageBits },
    input: artifact.manifest.detector.input,
    signal: cli.signal,
  });
  if (options.out !== undefined) writeText(options.out, `${JSON.stringify(found.allocation)}\n`);
  const notes =
    given.execution === 'int8'
      ? ['the map has no activations: integer kernels count as if they cost nothing']
      : [];
  const { allocation, damage, bound, modelBytes, averageBits } = found;
  cli.print(
    {
      model: { id: artifact.id, name: artifact.manifest.name },
      objective,
      budget,
      granularity: 'channel',
      allocation,
      damage,
      bound,
      measured: { modelBytes, averageBits },
      notes,
    },
    () => textOf(`${artifact.manifest.name}, ${objective}, by filter`, found, notes),
  );
};
