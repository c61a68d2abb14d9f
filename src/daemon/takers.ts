// Which part of the running daemon takes which change of the configuration up.
import type { RootLog } from '../system/index.js';
import type { Telemetry } from '../telemetry/index.js';
import type { Takers } from './changes.js';
import type { Examples } from './examples.js';
import type { Eye } from './eye.js';
import type { ModelService } from './models.js';
import type { Road } from './road.js';

export interface TakingParts {
  readonly telemetry: Telemetry;
  readonly models: ModelService;
  readonly eye: Eye;
  readonly road: Road;
  readonly examples: Examples;
  readonly rootLog: RootLog;
}

export const takersOf = ({ telemetry, models, eye, road, examples, rootLog }: TakingParts): Takers => ({
  camera: async (next) => {
    await eye.change(next.camera);
    road.finishTracks();
  },
  detector: (next) => models.configure(next),
  swap: (next) => models.configure(next),
  tracking: (next) => road.configure(next),
  counting: (next) => road.configure(next),
  mqtt: (next) => telemetry.configure(next),
  telemetry: async (next) => {
    road.configure(next);
    await telemetry.configure(next);
  },
  log: (next) => {
    rootLog.level = next.logLevel;
  },
  examples: (next) => examples.configure(next),
  // Read from the configuration in force whenever they are needed.
  adaptation: () => undefined,
  info: () => undefined,
  remote: () => undefined,
  model: () => undefined,
});
