// A site that changes: first its vehicles are cars and trucks, then buses and trucks. What the loop takes for critical, what it finds
// significant and where it puts its bits must follow.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { type AdaptationRecord, reportPath } from '../../../src/adaptation/index.js';
import { type DataSet, openDataSet } from '../../../src/evaluation/index.js';
import { type Artifact, Registry } from '../../../src/registry/index.js';
import { spearman } from '../../../src/significance/index.js';
import { census, type Figure } from '../lib.js';
import { installUniform, shuffled, Site, type SiteOptions } from './site.js';

export interface DriftOptions {
  readonly stateDir: string;
  readonly modelPath: string;
  readonly data: string;
  readonly fps: number;
  /** Pictures of each half of the stream, at most. */
  readonly pictures: number;
  readonly labels: number;
  readonly seed: number;
  readonly nice?: number;
  readonly adaptation: object;
  readonly say: (text: string) => void;
}

const HALVES = [
  ['car', 'truck'],
  ['bus', 'truck'],
] as const;
/** Shortest that can be configured: what was observed a quarter of an hour ago is forgotten. */
const CONFUSIONS = { windowDays: 0.01, halfLifeDays: 0.01, minSupport: 8 };
const PATIENCE_MS = 25 * 60_000;

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

const keyOf = (names: readonly string[]): string => [...names].sort().join(':');

/** Pictures on which there are these classes and no others. */
const only = async (road: DataSet, names: readonly string[]): Promise<{ readonly path: string }[]> => {
  const kept: { readonly path: string }[] = [];
  for (const [index, image] of road.images.entries()) {
    const { objects } = await road.load(index);
    if (objects.length > 0 && objects.every(({ classId }) => names.includes(road.classes[classId] ?? ''))) {
      kept.push(image);
    }
  }
  return kept;
};

const confusions = z.looseObject({
  pairs: z.array(z.looseObject({ a: z.string(), b: z.string(), critical: z.boolean(), support: z.number() })),
});

const criticalOf = async (site: Site): Promise<string[]> =>
  confusions
    .parse(await site.call('examples/confusions'))
    .pairs.filter(({ critical }) => critical)
    .map(({ a, b }) => keyOf([a, b]))
    .sort();

/** By component: the robust divergence at 4 bits, and the bits that it was given. */
const mapOf = ({ manifest }: Artifact): Map<string, { readonly divergence: number; readonly bits: string }> =>
  new Map(
    Object.entries(manifest.significance?.divergence ?? {}).map(([name, widths]) => [
      name,
      {
        divergence: widths['4'] ?? 0,
        bits: JSON.stringify(manifest.allocation?.components[name]?.bits ?? 32),
      },
    ]),
  );

/** The half of the stream that was seen to its end, and what came of it. */
interface Half {
  readonly critical: readonly string[];
  readonly record: AdaptationRecord;
}

export const drift = async (
  options: DriftOptions,
): Promise<{ readonly figures: readonly Figure[]; readonly about: object }> => {
  const { stateDir, modelPath, data, fps, labels, seed, nice, say } = options;
  const road = openDataSet(data, { split: 'train' });
  const note = join(stateDir, 'halves.json');
  const noteUniform = join(stateDir, 'uniform.json');
  const halves: Half[] = existsSync(note) ? (JSON.parse(readFileSync(note, 'utf8')) as Half[]) : [];
  mkdirSync(stateDir, { recursive: true });
  if (!existsSync(noteUniform)) {
    say('the model at uniform 8 bits is made');
    const { uniform } = await installUniform(stateDir, modelPath, road, 8);
    writeFileSync(noteUniform, JSON.stringify(uniform.id));
  }
  const registry = new Registry({ stateDir });
  const uniform = await registry.get(JSON.parse(readFileSync(noteUniform, 'utf8')) as string);
  const { classes } = uniform.manifest.detector;
  for (const [index, names] of HALVES.entries()) {
    if (halves[index] !== undefined) continue;
    const shown = join(stateDir, `shown-${names.join('-')}`);
    const pictures = (await only(road, names)).slice(0, options.pictures);
    shuffled(pictures, shown, seed);
    const about: SiteOptions = {
      stateDir,
      shown,
      fps,
      road,
      classes,
      confusions: CONFUSIONS,
      examples: { margin: 0.3, maxAgeDays: 0.01 },
      ...(nice !== undefined && { nice }),
      adaptation: {
        budget: { averageBits: 4 },
        watch: { seconds: 5 },
        everyDays: 0.01,
        ...options.adaptation,
      },
      say,
    };
    const before = HALVES[index - 1];
    const critical = await watchHalf(new Site(about), about, {
      names,
      before,
      labels,
      seed,
      shown: pictures.length,
    });
    say(`critical with ${names.join(' and ')}: ${critical.join(', ')}`);
    // The first time somebody asks for it; then the loop sees by itself that other pairs are critical now.
    const site = new Site({ ...about, adaptation: { ...about.adaptation, enabled: before !== undefined } });
    await site.start();
    try {
      const { status, last } = await site.state();
      if (status === 'idle' && before === undefined && last === null) await site.call('adapt/start');
      else await begun(site, halves.length);
      halves.push({ critical, record: await site.follow() });
      writeFileSync(note, JSON.stringify(halves));
    } finally {
      await site.stop();
    }
  }
  const [first, second] = halves;
  const made = await Promise.all(
    [first, second].map((half) => registry.get(half?.record.candidate ?? '').then(mapOf)),
  );
  const [old = new Map<string, never>(), young = new Map<string, never>()] = made;
  const names = [...old.keys()];
  const moved = names.filter((name) => old.get(name)?.bits !== young.get(name)?.bits);
  const follows = [first, second].filter(
    (half, index) => half?.critical.includes(keyOf(HALVES[index] ?? [])) === true,
  );
  return {
    figures: [
      census('drift.pairsFollow', 'halves', follows.length, HALVES.length),
      census('drift.begunByDrift', 'adaptations', second?.record.trigger === 'drift' ? 1 : 0, 1),
      census(
        'drift.mapRankCorrelation',
        'rank correlation',
        // Of one and the same artifact only one map is kept.
        (first?.record.candidate === second?.record.candidate
          ? undefined
          : spearman(
              names.map((name) => old.get(name)?.divergence ?? 0),
              names.map((name) => young.get(name)?.divergence ?? 0),
            )) ?? Number.NaN,
        names.length,
      ),
      census('drift.layersMoved', 'layers', moved.length, names.length),
    ],
    about: {
      halves,
      moved,
      pages: halves.map(({ record }) => reportPath(stateDir, record.id)),
    },
  };
};

/** Shows one half of the stream until what was observed of the other one is forgotten. @returns the critical pairs */
const watchHalf = async (
  site: Site,
  { stateDir }: SiteOptions,
  {
    names,
    before,
    labels,
    seed,
    shown,
  }: {
    readonly names: readonly string[];
    readonly before: readonly string[] | undefined;
    readonly labels: number;
    readonly seed: number;
    readonly shown: number;
  },
): Promise<string[]> => {
  const note = join(stateDir, `critical-${names.join('-')}.json`);
  if (existsSync(note)) return JSON.parse(readFileSync(note, 'utf8')) as string[];
  await site.start();
  try {
    await site.watch(shown);
    await site.label(labels, seed);
    let critical = await criticalOf(site);
    const deadline = performance.now() + PATIENCE_MS;
    while (
      (!critical.includes(keyOf(names)) || (before !== undefined && critical.includes(keyOf(before)))) &&
      performance.now() < deadline
    ) {
      await site.watch(60);
      await site.label(labels, seed + site.detected);
      critical = await criticalOf(site);
    }
    writeFileSync(note, JSON.stringify(critical));
    return critical;
  } finally {
    await site.stop();
  }
};

/** Until one more adaptation has begun than there were. */
const begun = async (site: Site, before: number): Promise<void> => {
  const deadline = performance.now() + PATIENCE_MS;
  while (performance.now() < deadline) {
    const { status } = await site.state();
    const { adaptations } = z
      .looseObject({ adaptations: z.array(z.unknown()) })
      .parse(await site.call('adapt/history', { limit: 10 }));
    if (status !== 'idle' || adaptations.length > before) return;
    await sleep(1_000);
  }
};
