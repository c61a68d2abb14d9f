// Generations: one detector process each, and how frames reach it.
export {
  type FrameResult,
  Generation,
  type GenerationEvents,
  type GenerationOptions,
  type GenerationState,
} from './generation.js';
export { type DetectorMessage, detectorMessageSchema, type GenerationFailure } from './messages.js';
export { encodeSeen, ROW, type Seen, SeenReader, type Timings } from './result-wire.js';
export { readShelf } from './frame-shelf.js';
export { encodeHeader, FrameReader, HEADER_BYTES, MAX_PAYLOAD_BYTES, rawBytes } from './wire.js';
export {
  importModel,
  type ImportedModel,
  type ImportRequest,
  installImported,
  tryArtifact,
  writeImported,
} from './import.js';
export { ModelProbe, type ProbeOptions, type Served } from './probe.js';
export { type ModelHints } from './probe-messages.js';
export { createGeneration, type CreateOptions } from './create.js';
export { detectorMemory, peakMemoryMb } from './memory.js';
export { type KeptClasses, keptClasses } from './kept-classes.js';
export { type CanaryClasses, type CanaryFigures, type CanaryRules, countFound, workMs } from './canary.js';
export {
  DetectorFeed,
  type FeedCounters,
  type FeedEvents,
  type SwapEvent,
  type SwapHooks,
  type SwapStep,
} from './feed.js';
