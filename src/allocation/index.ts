// Allocation: the device's profile, and what it says of an allocation.
export { type Accuracy } from './cost.js';
export { checkDevice, profileDevice, type ProfileDevice, temperature } from './device.js';
export { type Latency, latencyOf } from './latency.js';
export type { Plan, Region } from './network.js';
export {
  checkProfile,
  parseProfile,
  type Profile,
  profileSchema,
  type ProfileUse,
  readProfile,
  writeProfile,
} from './profile.js';
export { type MemoryOf, type Profiled, profileModel, type ProfileOptions } from './profile-model.js';
export { type Contender, inTurns, pairedRatios, Stopwatch } from './stopwatch.js';
export { artifactBytes, buildArtifact } from './budget/artifact-builder.js';
export { BudgetError, type Nearest } from './budget/budget-error.js';
export { measureBytes } from './budget/bytes.js';
export {
  type MeasureArtifact,
  type Measurements,
  meetBudget,
  type MeetOptions,
  type Met,
  type Round,
} from './budget/meet.js';
export { type ComponentDamage, type Damage, weightDamage } from './damage/damage.js';
export { missingWidths } from './damage/measures.js';
export { type Objective, type ObjectiveName, objectiveOf, OBJECTIVES } from './damage/objectives.js';
export {
  type Prices,
  SEMANTIC_WEIGHTS,
  semanticDamage,
  semanticPrices,
  type SemanticWeights,
} from './damage/semantic.js';
export {
  allocateFilters,
  type FilterAllocation,
  type FilterBudget,
  type FilterOptions,
} from './filters/allocate-filters.js';
export { filterComponents, filterDamage } from './filters/filters.js';
export { type FrontOptions, frontOf, type FrontPoint } from './front/front.js';
export { plotFront, type PlotMark } from './front/plot.js';
export {
  type At,
  interactionOf,
  type MeasurePairs,
  pairsToMeasure,
  type Repaired,
  repairInteractions,
  type RepairOptions,
} from './interactions.js';
export { problemOf, type ProblemOptions } from './problem-of.js';
export { type Choice, packChoices, type Packed } from './solver/knapsack.js';
export { type LatencyTerms, latencyTerms, timeOf } from './solver/latency-terms.js';
export {
  type Budget,
  damageOf,
  type Dimension,
  DIMENSIONS,
  type ExecutionChoice,
  type Interaction,
  type Problem,
  type Usage,
  usageOf,
} from './solver/problem.js';
export type { SolveOptions } from './solver/program.js';
export { leastUsage, type Solved, solveLayers } from './solver/solve.js';
