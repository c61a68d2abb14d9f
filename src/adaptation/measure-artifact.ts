// The real artifact of an allocation, measured: its bytes, its time beside the original, the peak of a process that serves it.
import { readFileSync } from 'node:fs';
import {
  artifactBytes,
  buildArtifact,
  type Budget,
  type MeasureArtifact,
  type Profile,
} from '../allocation/index.js';
import { readModel } from '../onnx/index.js';
import { latencyRatio, packedInput, timeBytes } from '../quantization/index.js';
import type { Artifact } from '../registry/index.js';
import { detectorMemory } from '../detector/index.js';
import { inputValue } from '../vision/index.js';

export interface MeasureWith {
  readonly budget: Budget;
  readonly profile: Profile | undefined;
  /** Run it, too; else only its bytes are counted. */
  readonly isRun: boolean;
  readonly signal?: AbortSignal | undefined;
}

/** Runs of each model. */
const ROUNDS = 120;

/** Measures what the budget limits. A time is that of the original as the profile has it, by the ratio of the two in turns. */
export const artifactMeasure = (
  artifact: Artifact,
  { budget, profile, isRun, signal }: MeasureWith,
): MeasureArtifact => {
  const source = readModel(artifact.modelPath);
  const { manifest } = artifact;
  const { input } = manifest.detector;
  const { name, dims } = inputValue(input);
  return async (allocation) => {
    const modelBytes = await artifactBytes(source, allocation, undefined, input);
    if (!isRun || profile === undefined) return { modelBytes };
    const bytes = await buildArtifact(source, allocation, undefined, input);
    const time = async (): Promise<number> => {
      const original = new Uint8Array(readFileSync(artifact.modelPath));
      const [first = [], second = []] = await timeBytes([original, bytes], {
        input: { name, dims },
        rounds: ROUNDS,
        threads: profile.threads,
        ...(signal !== undefined && { signal }),
      });
      return latencyRatio(first, second).value * profile.uniform.fp32Ms;
    };
    const peak = async (): Promise<number | undefined> => {
      const detector = { ...manifest.detector, input: packedInput(readModel(bytes).graph.inputs, input) };
      return (await detectorMemory(bytes, { ...manifest, detector }, profile.threads)) ?? undefined;
    };
    const [latencyMs, memoryMb] = [
      budget.latencyMs === undefined ? undefined : await time(),
      budget.memoryMb === undefined ? undefined : await peak(),
    ];
    return {
      modelBytes,
      ...(latencyMs !== undefined && { latencyMs }),
      ...(memoryMb !== undefined && { memoryMb }),
    };
  };
};
