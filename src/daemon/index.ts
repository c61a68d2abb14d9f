// The composition root: wires the rooms, owns start and stop.
export { type CheckResult, type CheckStatus } from './doctor/check.js';
export { type DoctorReport, runDoctor } from './doctor/doctor.js';
export { HealthProbe, type HealthSample } from './health.js';
export { MODEL_INSTALL } from './commands.js';
export { Daemon, type DaemonObserver, type DaemonOptions, type DaemonProgress } from './daemon.js';
export { findModel } from './models.js';
