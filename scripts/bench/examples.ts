// Hard examples over kills and over simulated days: `npm run bench:examples -- --json`.
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SingleBar } from 'cli-progress';
import type { z } from 'zod';
import { BitlaneError } from '../../src/errors.js';
import { packageRoot, runBounded } from '../../src/system/index.js';
import { killAgainAndAgain, type KillOutcome } from '../../test/examples/kills.js';
import { randomFrom } from '../../test/tracking/traffic.js';
import { comparisonSchema, daySchema, type Job } from './examples-day.js';
import { census, countOption, type Figure, printReport, readOptions, runBench } from './lib.js';

const values = readOptions({
  json: { type: 'boolean', default: false },
  parts: { type: 'string', default: 'kills,days' },
  kills: { type: 'string', default: '200' },
  days: { type: 'string', default: '3' },
  vehicles: { type: 'string', default: '20000' },
  seed: { type: 'string', default: '1' },
});

type Day = z.infer<typeof daySchema>;

/** Room for everything; and so little that every round must remove some. */
const ROOMY = { maxMb: 10_000, perPair: 1_000_000 };
const TIGHT = { maxMb: 0.05, perPair: 12 };
/** For a day: the bytes bind, and the reservoir of a pair. */
const SMALL = { maxMb: 2, perPair: 60 };
const DEADLINE_MS = 1_200_000;

const runDays = async (
  job: Job,
): Promise<{ comparison: z.infer<typeof comparisonSchema>; days: readonly Day[] }> => {
  const script = join(packageRoot, 'dist', 'scripts', 'bench', 'examples-day.js');
  const { outcome, code, stdout, stderr } = await runBounded(
    process.execPath,
    [script, JSON.stringify(job)],
    {
      deadlineMs: DEADLINE_MS,
    },
  );
  if (outcome !== 'exit' || code !== 0)
    throw new BitlaneError('INTERNAL', `the writing process failed: ${stderr}`);
  const [first, ...rest] = stdout
    .trim()
    .split('\n')
    .map((line): unknown => JSON.parse(line));
  return { comparison: comparisonSchema.parse(first), days: rest.map((line) => daySchema.parse(line)) };
};

interface Part {
  readonly data: unknown;
  readonly figures: readonly Figure[];
}

const killPart = async (
  folder: (name: string) => string,
  kills: number,
  random: () => number,
): Promise<Part> => {
  const bar = process.stderr.isTTY ? new SingleBar({ stream: process.stderr }) : undefined;
  bar?.start(2 * kills, 0);
  const kill = (name: string, limits: typeof ROOMY, from: number): Promise<KillOutcome> =>
    killAgainAndAgain(folder(name), kills, limits, limits === TIGHT, random, (done) =>
      bar?.update(from + done),
    );
  const roomy = await kill('roomy', ROOMY, 0);
  const tight = await kill('tight', TIGHT, kills);
  bar?.stop();
  return {
    data: { each: kills, roomy, tight },
    figures: [
      census('examples.rowsLost', 'examples', roomy.lost + tight.lost, roomy.acknowledged),
      census('examples.orphans', 'files', roomy.orphans + tight.orphans, 2 * kills),
      census('examples.capExceeded.kills', 'kills', roomy.capExceeded + tight.capExceeded, 2 * kills),
    ],
  };
};

const dayPart = async (folder: (name: string) => string, job: Omit<Job, 'stateDir'>): Promise<Part> => {
  const usual = await runDays({ ...job, stateDir: folder('usual') });
  const small = await runDays({ ...job, days: 1, stateDir: folder('small'), limits: SMALL });
  const all = [...usual.days, ...small.days];
  const sumOf = (key: 'looks' | 'capExceeded'): number => all.reduce((sum, day) => sum + day[key], 0);
  const [first, last] = [usual.days[0], usual.days.at(-1)];
  const { pictures, pictureBytes, asFiles, asBlobs } = usual.comparison;
  return {
    data: {
      vehiclesPerDay: job.vehicles,
      days: usual.days,
      smallCaps: small.days,
      comparison: usual.comparison,
    },
    figures: [
      census('examples.capExceeded', 'moments', sumOf('capExceeded'), sumOf('looks')),
      census('examples.bytesWrittenPerDay', 'bytes', first?.bytesWritten ?? Number.NaN, 1),
      census(`examples.bytesWrittenPerDay.day${job.days}`, 'bytes', last?.bytesWritten ?? Number.NaN, 1),
      census('examples.pictureBytesPerDay', 'bytes', first?.pictureBytes ?? Number.NaN, 1),
      census('examples.writtenPerByte.files', 'ratio', asFiles / pictureBytes, pictures),
      census('examples.writtenPerByte.blobs', 'ratio', asBlobs / pictureBytes, pictures),
    ],
  };
};

const PARTS = ['kills', 'days'] as const;

const wantedParts = (text: string): ReadonlySet<string> => {
  const parts = text.split(',').map((part) => part.trim());
  const unknown = parts.find((part) => !PARTS.some((known) => known === part));
  if (unknown === undefined) return new Set(parts);
  throw new BitlaneError(
    'BAD_USAGE',
    `--parts takes ${PARTS.join(', ')}, and ${JSON.stringify(unknown)} is none`,
  );
};

await runBench(async () => {
  const parts = wantedParts(values.parts);
  const kills = countOption(values.kills, '--kills');
  const days = countOption(values.days, '--days');
  const vehicles = countOption(values.vehicles, '--vehicles');
  const seed = countOption(values.seed, '--seed');
  const root = mkdtempSync(join(tmpdir(), 'bitlane-bench-examples-'));
  const folder = (name: string): string => {
    const path = join(root, name);
    mkdirSync(path);
    return path;
  };
  try {
    const done: Part[] = [];
    if (parts.has('kills')) done.push(await killPart(folder, kills, randomFrom(seed)));
    if (parts.has('days')) done.push(await dayPart(folder, { days, seed, vehicles, limits: {} }));
    printReport(
      {
        bench: 'examples',
        model: null,
        data: done.map(({ data }) => data),
        figures: done.flatMap(({ figures }) => figures),
      },
      values.json,
    );
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
});
