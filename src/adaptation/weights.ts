// How the weights of an allocation come about, and the artifact that they make.
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { BitlaneError } from '../errors.js';
import { type Allocation, quantizeArtifact } from '../quantization/index.js';
import {
  type Artifact,
  createManifest,
  type Manifest,
  MANIFEST_FILE,
  type ManifestParts,
  MODEL_FILE,
  readArtifactFolder,
} from '../registry/index.js';
import { writeFileAtomic } from '../system/index.js';
import { type Made, madeSchema } from './documents.js';
import type { AdaptOptions } from './options.js';

/** Writes an artifact into a new folder in the place of whatever a killed run left there. */
const putArtifact = async (folder: string, bytes: Uint8Array, manifest: Manifest): Promise<Artifact> => {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  writeFileAtomic(join(folder, MODEL_FILE), bytes);
  writeFileAtomic(join(folder, MANIFEST_FILE), `${JSON.stringify(manifest, null, 2)}\n`);
  return readArtifactFolder(folder);
};

/** How the weights of an allocation come about. Rounding is the only way so far; training the rounded model on would be another. */
export type MakeWeights = (
  parent: Artifact,
  allocation: Allocation,
  options: AdaptOptions,
) => Promise<{ readonly bytes: Uint8Array; readonly manifest: Manifest; readonly made: Omit<Made, 'id'> }>;

export const roundWeights: MakeWeights = async (parent, allocation, options) => {
  const { calibration = options.tuning.dataSet, name, signal, onProgress = () => undefined } = options;
  const { bytes, manifest, report } = await quantizeArtifact(parent, {
    allocation,
    calibration,
    pictures: options.calibrationPictures,
    rounding: 'gptq',
    reduceRange: options.reduceRange,
    ...(name !== undefined && { name }),
    ...(options.timed !== undefined && { timed: options.timed }),
    ...(signal !== undefined && { signal }),
    onProgress,
  });
  const { bytesRatio, averageBits, latency } = report;
  return { bytes, manifest, made: { bytes: bytes.length, bytesRatio, averageBits, latency } };
};

/** Makes the artifact of an allocation in `<folder>/<step>`, once. */
export const makeArtifact = async (
  parent: Artifact,
  allocation: Allocation,
  step: string,
  options: AdaptOptions,
  complete: Pick<ManifestParts, 'budget' | 'significance'>,
  make: MakeWeights = roundWeights,
): Promise<{ readonly artifact: Artifact; readonly made: Made }> => {
  const folder = join(options.folder, step);
  const work = async (): Promise<Made> => {
    const { bytes, manifest, made } = await make(parent, allocation, options);
    const whole = createManifest(bytes, { ...manifest, parentId: parent.id, ...complete });
    return { id: (await putArtifact(folder, bytes, whole)).id, ...made };
  };
  const made = await options.checkpoints.once(step, madeSchema, work);
  const artifact = await readArtifactFolder(folder);
  if (artifact.id !== made.id) {
    throw new BitlaneError('BAD_MODEL', `${folder} holds another artifact than the one that was made there`);
  }
  return { artifact, made };
};

/** Takes the artifact that was made in another step of the same folder. */
export const takeTried =
  (step: string): MakeWeights =>
  async (_parent, _allocation, { folder, checkpoints }) => {
    const { modelPath, manifest } = await readArtifactFolder(join(folder, step));
    const made = checkpoints.kept(step, madeSchema);
    if (made === undefined) throw new BitlaneError('INTERNAL', `nothing is kept of ${step}`);
    return { bytes: new Uint8Array(readFileSync(modelPath)), manifest, made };
  };
