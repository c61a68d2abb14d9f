// Hard examples: mining, labels, retention; and what is observed to be confused with what.
export {
  type ConfusionReport,
  type CriticalBecause,
  criticalPairs,
  observedConfusions,
  type ObservedPair,
  type PairPart,
  readConfusions,
  type ReportOptions,
  type SourcePart,
} from './confusions.js';
export {
  type Exported,
  exportExamples,
  exportPictures,
  type ExampleSource,
  type ExportOptions,
  type Layout,
  LAYOUTS,
} from './export.js';
export {
  ExampleKeeper,
  type KeeperCounters,
  type KeeperEvents,
  type KeeperOptions,
  type KeeperRules,
  OBSERVE_EVERY_MS,
} from './keeper.js';
export {
  ExampleLibrary,
  examplesFolder,
  type LibraryCounters,
  type LibraryOptions,
  type LibraryRules,
  type ListOptions,
  type PurgeOptions,
} from './library.js';
export {
  type Candidate,
  type EndedTrack,
  type Harvest,
  Miner,
  type MinerRules,
  pairOf,
  type SeenFrame,
  type TrackSight,
  type Wish,
} from './miner.js';
export { SteadyClock } from './steady-clock.js';
export { afterLabel, type Looks, observeTrack, toObservationRow } from './observed.js';
export { type Flow, isAdmitted, oneMore, overflowOf, type Stub, victimOf } from './reservoir.js';
export { ID_PATTERN, type NewExample } from './rows.js';
export { hearTeacher, type Look, type TeacherWord } from './teacher.js';
export { NO_VEHICLE, type Truth, truthOf } from './truth.js';
export {
  type ClassFrames,
  type ClassName,
  type ClassScore,
  type Example,
  type ExampleTrack,
  type Observation,
  type OperatorLabel,
  type Presumption,
  type Reason,
  REASONS,
  type SeenObject,
  type Source,
  SOURCES,
  type StoredPicture,
} from './types.js';
