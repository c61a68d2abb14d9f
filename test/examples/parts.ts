// What the tests of hard examples share: examples with real pictures, an open library.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Test } from 'tap';
import { confusionsSchema, examplesSchema } from '../../src/config/index.js';
import { ExampleLibrary, type LibraryRules, type NewExample } from '../../src/examples/index.js';
import { openStore, type Store } from '../../src/store/index.js';
import { silentLog } from '../../src/system/index.js';
import { encodeJpeg } from '../../src/vision/index.js';
import { randomFrom } from '../tracking/traffic.js';

export const MODEL = 'a'.repeat(64);
export const rules = examplesSchema.parse({ reserveMb: 0 });
export const confusions = confusionsSchema.parse({});

export const folderOf = (t: Test): string => {
  const folder = mkdtempSync(join(tmpdir(), 'bitlane-examples-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
};

/** A picture of `size` x `size` pixels of one colour. */
export const jpegOf = (size: number, value = 90): Uint8Array =>
  encodeJpeg(
    { format: 'rgb24', width: size, height: size, data: new Uint8Array(3 * size * size).fill(value) },
    80,
  );

const jpeg = jpegOf(40);

/** A candidate: a car of 20 x 20 pixels at (10, 10) of a crop that lay at (100, 50) in a frame of 200 x 150. */
export const example = (change: Partial<NewExample> = {}): NewExample => ({
  takenMs: Date.now(),
  reason: 'margin',
  pair: 'car:truck',
  model: MODEL,
  object: {
    x1: 10,
    y1: 10,
    x2: 30,
    y2: 30,
    className: 'car',
    score: 0.5,
    rival: { className: 'truck', score: 0.45 },
  },
  others: [],
  picture: {
    width: 40,
    height: 40,
    bytes: (change.jpeg ?? jpeg).length,
    frame: { width: 200, height: 150 },
    left: 100,
    top: 50,
  },
  track: null,
  presumed: null,
  jpeg,
  ...change,
});

export interface Opened {
  readonly store: Store;
  readonly library: ExampleLibrary;
}

/** Opens a library as the daemon's start does. */
export const openLibrary = async (
  t: Test,
  stateDir: string,
  change: Partial<LibraryRules> = {},
  now?: () => number,
  isSteady?: () => boolean,
): Promise<Opened> => {
  const store = openStore(join(stateDir, 'bitlane.db'));
  t.teardown(() => store.close());
  const library = new ExampleLibrary({
    stateDir,
    store,
    rules: { ...rules, perHour: 1_000_000, ...change },
    log: silentLog,
    random: randomFrom(1),
    ...(now === undefined ? {} : { now }),
    ...(isSteady === undefined ? {} : { isSteady }),
  });
  await library.sweep();
  return { store, library };
};
