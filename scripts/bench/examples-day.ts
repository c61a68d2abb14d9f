// The writing process of `bench:examples`: days of traffic at a road, as fast as they can be written. Prints one JSON line a day.
import {
  closeSync,
  fdatasyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { z } from 'zod';
import { examplesSchema } from '../../src/config/index.js';
import {
  ExampleLibrary,
  type NewExample,
  OBSERVE_EVERY_MS,
  toObservationRow,
} from '../../src/examples/index.js';
import { type ObservationRow, openStore } from '../../src/store/index.js';
import { silentLog } from '../../src/system/index.js';
import { randomFrom } from '../../test/tracking/traffic.js';
import { type Crop, drawCrops, driveBy, examplesOf, shareOfHour } from './examples-traffic.js';

export const jobSchema = z.strictObject({
  stateDir: z.string(),
  days: z.int(),
  seed: z.int(),
  vehicles: z.int(),
  limits: z.record(z.string(), z.number()),
});
export type Job = z.infer<typeof jobSchema>;

export const daySchema = z.strictObject({
  day: z.int(),
  /** Bytes that the kernel counts for this process (`write_bytes` of /proc/self/io). */
  bytesWritten: z.int(),
  pictureBytes: z.int(),
  stored: z.int(),
  candidates: z.int(),
  observations: z.int(),
  /** Moments at which a cap was exceeded, of those looked at. */
  capExceeded: z.int(),
  looks: z.int(),
  keptBytes: z.int(),
  pairs: z.record(z.string(), z.int()),
});
export const comparisonSchema = z.strictObject({
  pictures: z.int(),
  pictureBytes: z.int(),
  asFiles: z.int(),
  asBlobs: z.int(),
});

const HOUR_S = 3600;
const PICTURES = 400;
const BATCH = 4;

const bytesWritten = (): number =>
  Number(/^write_bytes: (\d+)/m.exec(readFileSync('/proc/self/io', 'utf8'))?.[1] ?? 0);

const sync = (path: string): void => {
  const file = openSync(path, 'r');
  try {
    fdatasyncSync(file);
  } finally {
    closeSync(file);
  }
};

/** The same pictures as files, and as BLOBs of a database with the store's settings. */
const compare = (folder: string, crops: readonly Crop[]): z.infer<typeof comparisonSchema> => {
  mkdirSync(folder, { recursive: true });
  const jpegs = Array.from(
    { length: PICTURES },
    (_, index) => crops[index % crops.length]?.jpeg ?? new Uint8Array(),
  );
  const start = bytesWritten();
  for (const [index, jpeg] of jpegs.entries()) writeFileSync(join(folder, `${index}.jpg`), jpeg);
  const asFiles = bytesWritten() - start;
  const path = join(folder, 'pictures.db');
  const db = new Database(path);
  db.pragma('journal_mode = WAL');
  db.pragma('synchronous = NORMAL');
  db.exec('CREATE TABLE pictures (id INTEGER PRIMARY KEY, jpeg BLOB NOT NULL) STRICT');
  const insert = db.prepare('INSERT INTO pictures (id, jpeg) VALUES (?, ?)');
  const before = bytesWritten();
  for (let from = 0; from < PICTURES; from += BATCH) {
    db.transaction(() => {
      for (let index = from; index < from + BATCH; index += 1)
        insert.run(index, Buffer.from(jpegs[index] ?? []));
    })();
    sync(`${path}-wal`);
  }
  db.pragma('wal_checkpoint(TRUNCATE)');
  const asBlobs = bytesWritten() - before;
  db.close();
  return {
    pictures: PICTURES,
    pictureBytes: jpegs.reduce((sum, { length }) => sum + length, 0),
    asFiles,
    asBlobs,
  };
};

const tell = (line: unknown): void => void process.stdout.write(`${JSON.stringify(line)}\n`);

const main = async (): Promise<void> => {
  const job = jobSchema.parse(JSON.parse(process.argv[2] ?? '{}'));
  const random = randomFrom(job.seed);
  const rules = examplesSchema.parse({ reserveMb: 0, ...job.limits });
  const crops = drawCrops(rules.context, rules.quality);
  tell(compare(join(job.stateDir, 'compare'), crops));
  const path = join(job.stateDir, 'bitlane.db');
  const store = openStore(path);
  let nowMs = Date.UTC(2026, 4, 4);
  const { stateDir } = job;
  const library = new ExampleLibrary({ stateDir, store, rules, log: silentLog, now: () => nowMs, random });
  await library.sweep();
  let [vehicles, track] = [0, 0];
  let observations: ObservationRow[] = [];

  const pairs = (): Record<string, number> => {
    const counts: Record<string, number> = {};
    for (const { pair } of store.examples.stubs()) counts[pair] = (counts[pair] ?? 0) + 1;
    return counts;
  };
  const isOverCap = (): boolean => {
    const sizes = readdirSync(library.folder).map((name) => statSync(join(library.folder, name)).size);
    const bytes = sizes.reduce((sum, size) => sum + size, 0);
    return bytes > rules.maxMb * 1e6 || Object.values(pairs()).some((count) => count > rules.perPair);
  };

  for (let day = 1; day <= job.days; day += 1) {
    const { stored: storedBefore, bytesWritten: picturesBefore } = library.counters;
    const before = bytesWritten();
    const counts = { candidates: 0, observations: 0, capExceeded: 0, looks: 0 };
    const step = rules.flushSeconds;
    for (let second = 0; second < 24 * HOUR_S; second += step) {
      nowMs += step * 1000;
      vehicles += shareOfHour(Math.floor(second / HOUR_S)) * job.vehicles * (step / HOUR_S);
      const items: NewExample[] = [];
      for (; vehicles >= 1; vehicles -= 1) {
        const harvest = driveBy(rules, (track += 1), nowMs, random);
        const crop = crops[Math.floor(random() * crops.length)];
        if (harvest === undefined || crop === undefined) continue;
        observations.push(...harvest.observations.map(toObservationRow));
        items.push(...examplesOf(harvest, crop, nowMs));
      }
      counts.candidates += items.length;
      const stored = await library.add(items);
      const isDue = (1000 * second) % OBSERVE_EVERY_MS < 1000 * step;
      if (isDue) {
        store.observations.add(observations);
        counts.observations += observations.length;
        observations = [];
      }
      // Every stored example goes out as a message, and the broker takes it.
      for (const { id, object, reason } of stored) {
        const body = JSON.stringify({ ...object, example: id, reason });
        store.outbox.append('event/example', body, { kind: 'event', bootId: 'bench' });
      }
      store.outbox.ack(store.outbox.peek(0, 1000).map(({ seq }) => seq));
      // At a road the kernel has written everything out before the next flush comes; here it must be made to, or pages that change
      // again and again would be counted once.
      if (stored.length > 0 || isDue) sync(`${path}-wal`);
      if (stored.length === 0) continue;
      counts.looks += 1;
      counts.capExceeded += Number(isOverCap());
    }
    tell({
      day,
      bytesWritten: bytesWritten() - before,
      pictureBytes: library.counters.bytesWritten - picturesBefore,
      stored: library.counters.stored - storedBefore,
      ...counts,
      keptBytes: library.size.bytes,
      pairs: pairs(),
    } satisfies z.infer<typeof daySchema>);
  }
  store.close();
};

if (process.argv[1] === import.meta.filename) await main();
