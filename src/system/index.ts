// The floor of the house: files, processes, events, delays, the log. Knows nothing of vehicles.
export { Backoff, type BackoffOptions } from './backoff.js';
export { endsWithOwner, hasExited, spawnOwned, stopChild } from './child.js';
export { Emitter } from './emitter.js';
export {
  fsyncDirectory,
  namesIfThere,
  packageRoot,
  packageVersion,
  replaceFile,
  syncDirectory,
  textIfThere,
  writeFileAtomic,
} from './files.js';
export { type Log, type LogFields, LOG_LEVELS, type LogLevel, RootLog, silentLog } from './log.js';
export { median } from './median.js';
export { notify, watchdogIntervalMs } from './notify.js';
export { pause } from './pause.js';
export { type ProcessHealth, readProcesses } from './processes.js';
export { Random } from './random.js';
export { runBounded, type RunOptions, type RunResult } from './run.js';
export { page, pageHeading, pageParagraph, pagePicture, pageTable } from './page.js';
export { escapeText, fixed, textAt, ticks } from './svg.js';
