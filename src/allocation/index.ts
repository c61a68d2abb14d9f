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
