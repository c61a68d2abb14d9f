// From a model, what is known of its damage and what was measured on the device to the problem that a solver is given.
import type { Model } from '../onnx/index.js';
import { type BitWidth, componentsOf, prepareModel } from '../quantization/index.js';
import type { SignificanceMap } from '../significance/index.js';
import { measureBytes } from './budget/bytes.js';
import { memoryModel } from './budget/memory.js';
import { type ObjectiveName, objectiveOf } from './damage/objectives.js';
import type { Profile } from './profile.js';
import { latencyTerms } from './solver/latency-terms.js';
import type { ExecutionChoice, Problem } from './solver/problem.js';

export interface ProblemOptions {
  readonly objective: ObjectiveName;
  readonly map?: SignificanceMap | undefined;
  readonly profile?: Profile | undefined;
  /** Default: any, where there is a profile; else fp32, for which there is no reason to compute in anything else. */
  readonly execution?: ExecutionChoice | undefined;
  readonly widths?: readonly BitWidth[];
}

/**
 * @param source the FP32 model
 * @throws BitlaneError `BAD_CONFIG` where the map is not one of this model, `BAD_USAGE` where the objective needs one
 */
export const problemOf = async (source: Model, options: ProblemOptions): Promise<Problem> => {
  const { objective, map, profile, execution, widths } = options;
  const components = componentsOf(prepareModel(source));
  const damage = objectiveOf(objective).damage(components, map);
  return {
    components,
    damage,
    bytes: await measureBytes(source, components),
    latency: profile === undefined ? [] : latencyTerms(profile, source),
    memory: profile === undefined ? undefined : memoryModel(profile, components),
    execution: execution ?? (profile === undefined ? 'fp32' : 'free'),
    ...(widths !== undefined && { widths }),
  };
};
