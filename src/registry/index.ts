// Artifacts on disk: verify, install, activate, roll back.
export { allocationSchema, componentAllocationSchema } from './allocation.js';
export {
  type Artifact,
  createManifest,
  hashBytes,
  hashFile,
  type ManifestParts,
  MANIFEST_FILE,
  MAX_MODEL_BYTES,
  MODEL_FILE,
  parseManifest,
  readArtifact,
  readArtifactFolder,
} from './artifact.js';
export { foldName } from './class-name.js';
export type { ModelSource } from './install.js';
export { FileLock, lockOwner, type LockOwner } from './lock.js';
export {
  artifactIdSchema,
  type DetectorSpec,
  detectorSpecSchema,
  type HeadSpec,
  headSpecSchema,
  type InputSpec,
  inputSpecSchema,
  isSameDetector,
  type Manifest,
  manifestSchema,
  type Measured,
  type Validation,
} from './manifest.js';
export {
  type BootDecision,
  FAILED_START_LIMIT,
  Registry,
  type RegistryEntry,
  type RegistryOptions,
  type StartOutcome,
  UNFINISHED_START_LIMIT,
} from './registry.js';
export { resolveModel } from './resolve.js';
export { withTemporaryArtifact } from './temporary.js';
