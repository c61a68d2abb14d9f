// Artifacts on disk: verify, install, activate, roll back.
export {
  artifactIdSchema,
  type DetectorSpec,
  detectorSpecSchema,
  type HeadSpec,
  headSpecSchema,
  type InputSpec,
  inputSpecSchema,
  type Manifest,
  manifestSchema,
} from './manifest.js';
