// The loop: from what a model confuses to an artifact that spends its bits there.
export { adaptModel } from './adapt.js';
export type { Adapted, AdaptOptions, AdaptStep, JudgedBy, Labelled } from './options.js';
export { type AcceptanceRules, judge, labelsTell, type Verdict } from './acceptance.js';
export { drawAllocation, drawConfusion } from './charts.js';
export { Checkpoints } from './checkpoints.js';
export {
  type ClassPair,
  compareModels,
  type CompareOptions,
  type Comparison,
  type Judged,
} from './compare.js';
export type { Evidence } from './documents.js';
export { artifactMeasure, type MeasureWith } from './measure-artifact.js';
export {
  type CandidateScore,
  chooseCandidate,
  objectivesOf,
  picturesBeside,
  PORTFOLIO,
  wholeDamage,
} from './portfolio.js';
export { adaptationReport } from './report.js';
export { type Agreement, teacherAgreement } from './teacher.js';
export { comparable, wholeMeter } from './whole.js';
export { Adapter, type AdapterOptions } from './job/adapter.js';
export { type Job, readJob, type Trigger, TRIGGERS, writeJob } from './job/job.js';
export { LEAST_SHARE, MOST_OWED_MS, Rests } from './job/rests.js';
export { type JobResult, type MadeArtifact, readResult } from './job/result.js';
export { REPORT_FILE, runJob } from './job/run-job.js';
export { reportPath } from './loop/files.js';
export { type AdaptationRecord, readHistory } from './loop/record.js';
export { AdaptationService, type LoopEvents, type LoopOptions } from './loop/service.js';
export type { ClassPair as NamedPair } from './loop/triggers.js';
export type { Demands, Deployed, DeployFigures, Serving, UseOptions } from './loop/serving.js';
