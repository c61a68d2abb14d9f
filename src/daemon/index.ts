// The composition root: wires the rooms, owns start and stop.
export { type CheckResult, type CheckStatus } from './doctor/check.js';
export { type DoctorReport, runDoctor } from './doctor/doctor.js';
export { HealthProbe, type HealthSample } from './health.js';
export { MODEL_INSTALL } from './commands.js';
export { Daemon, type DaemonObserver, type DaemonOptions, type DaemonProgress } from './daemon.js';
export { confusionsMessage, exampleFrom, exampleMessage } from './example-messages.js';
export { EXAMPLE_PICTURE, labelOf, purgeOf } from './examples.js';
export { findModel, listModels } from './installed.js';
