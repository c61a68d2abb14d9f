// Hard examples: mining, labels, retention; and what is observed to be confused with what.
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
