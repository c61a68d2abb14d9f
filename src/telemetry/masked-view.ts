// Masks are shares of the delivered frame: from afar it may not be turned under them.
import { canonical, type Config } from '../config/index.js';
import type { ChangeSet } from './twin-state.js';

/** What turns a frame, and how it is where nothing is said. */
const TURNS = { rotation: 0, hflip: false, vflip: false } as const;

const turnsOf = ({ camera }: Config): Readonly<Record<string, unknown>> => ({ ...TURNS, ...camera });

const keysOf = (a: Config, b: Config): readonly string[] => {
  const [before, after] = [turnsOf(a), turnsOf(b)];
  return Object.keys(TURNS).filter((key) => before[key] !== after[key]);
};

const sameMasks = (a: Config, b: Config): boolean => canonical(a.masks) === canonical(b.masks);

interface InForce {
  readonly config: Config;
  /** The change set that made it so. */
  readonly set: ChangeSet;
  /** Of the device's file alone. */
  readonly local: Config;
}

/**
 * Why a change set must not be taken up for the masks' sake, or `undefined`: masks and the view that they were drawn on go together,
 * as they are in force, in the set itself, or in the file that a set with masks of its own was laid over.
 */
export const turnedUnderMasks = (now: InForce, set: ChangeSet, next: Config): string | undefined => {
  if (next.masks.length === 0 || 'masks' in set.changes) return undefined;
  const hadOwn = 'masks' in now.set.changes;
  const turned = keysOf(hadOwn ? now.local : now.config, next);
  if (turned.length === 0 || (sameMasks(now.config, next) && keysOf(now.config, next).length === 0)) {
    return undefined;
  }
  const keys = turned.map((key) => `camera.${key}`).join(' and ');
  return (
    `${keys} may not be changed remotely while masks are set, which would cover another part of the road: ` +
    'change both in the file of the device, or send masks with it where remote.allow lists them'
  );
};
