// The option that says which layer gets how many bits.
import { readFileSync, statSync } from 'node:fs';
import { BitlaneError, messageOf } from '../errors.js';
import { readModel } from '../onnx/index.js';
import {
  type Allocation,
  checkAllocation,
  componentsOf,
  edgedAllocation,
  type Execution,
  parseAllocation,
  prepareModel,
} from '../quantization/index.js';
import type { Artifact } from '../registry/index.js';
import { choice } from './values.js';

const WIDTHS = { '8': 8, '4': 4, '2': 2 } as const;
const MAX_ALLOCATION_BYTES = 16 * 2 ** 20;

/** Whether an option names one bit-width for all layers. */
export const isWidth = (text: string): text is keyof typeof WIDTHS => Object.hasOwn(WIDTHS, text);

const badUsage = (message: string): BitlaneError => new BitlaneError('BAD_USAGE', message);

const allocationFile = (option: string, path: string): Allocation => {
  const found = statSync(path, { throwIfNoEntry: false });
  if (found?.isFile() !== true) {
    throw badUsage(
      `${option} takes 8, 4, 2 or an allocation file, and ${JSON.stringify(path)} is none of them`,
    );
  }
  if (found.size > MAX_ALLOCATION_BYTES) {
    throw badUsage(`${option}: ${path} is larger than ${MAX_ALLOCATION_BYTES} bytes`);
  }
  try {
    return parseAllocation(readFileSync(path, 'utf8'), path);
  } catch (error) {
    if (error instanceof BitlaneError) throw error;
    throw badUsage(`${option}: ${path} cannot be read: ${messageOf(error)}`);
  }
};

/**
 * 8, 4 or 2 for all layers but the first and the last ones, or an allocation file.
 * @param option as it is written: `--bits`
 * @param execution of all layers, where a bit-width is given; int8 where it is left out
 * @throws BitlaneError `BAD_USAGE`, `BAD_CONFIG` where the file does not fit the model
 */
export const allocationOption = (
  option: string,
  artifact: Artifact,
  bits: string,
  execution: string | undefined,
): Allocation => {
  const prepared = prepareModel(readModel(artifact.modelPath));
  const components = componentsOf(prepared);
  if (components.length === 0) {
    throw new BitlaneError(
      'BAD_MODEL',
      `${artifact.manifest.name} has no layer with constant FP32 weights: there is nothing to quantize`,
    );
  }
  if (isWidth(bits)) {
    const runs: Execution = choice('--execution', execution ?? 'int8', ['int8', 'fp32']);
    return edgedAllocation(prepared, WIDTHS[bits], runs);
  }
  if (execution !== undefined) {
    throw badUsage('--execution goes with 8, 4 or 2: an allocation file says it for every layer');
  }
  const allocation = allocationFile(option, bits);
  checkAllocation(allocation, components);
  return allocation;
};
