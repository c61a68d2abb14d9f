// The story: what has to happen, in its order, and what came of it.
import type { ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import { SingleBar } from 'cli-progress';
import { z } from 'zod';
import { BitlaneError } from '../../src/errors.js';
import { hasExited } from '../../src/system/index.js';
import type { Listener } from './listener.js';
import { cli, drawRoad, type Place } from './place.js';
import { pause, seconds, tell } from './say.js';

const MINUTES = 10;

const waitFor = async (
  isThere: () => boolean,
  daemon: ChildProcess,
  what: string,
  limitS: number,
): Promise<void> => {
  const end = seconds() + limitS;
  while (!isThere()) {
    if (hasExited(daemon)) throw new BitlaneError('INTERNAL', `the daemon ended before ${what}`);
    if (seconds() > end) throw new BitlaneError('TIMEOUT', `after ${limitS} s there is still not ${what}`);
    await pause(100);
  }
};

const top = (counts: ReadonlyMap<string, number>, most: number): string =>
  [...counts]
    .sort((a, b) => b[1] - a[1])
    .slice(0, most)
    .map(([name, count]) => `${count} ${name}`)
    .join(', ');

const per = (share: number): string => `${(100 * share).toFixed(1)} %`;

/** Shows how far the adapter is until it is done. */
const follow = async (listener: Listener, daemon: ChildProcess, limitS: number): Promise<void> => {
  const bar = new SingleBar({
    format: '        {step} [{bar}] {value}/{total}',
    stream: process.stderr,
    hideCursor: true,
  });
  let shown = '';
  const isBusy = (): boolean => !['idle', 'watching'].includes(listener.adapt?.status ?? 'idle');
  const end = seconds() + limitS;
  try {
    while (isBusy()) {
      if (hasExited(daemon)) throw new BitlaneError('INTERNAL', 'the daemon ended while it adapted');
      if (seconds() > end) throw new BitlaneError('TIMEOUT', `the adaptation takes longer than ${limitS} s`);
      const { step, done, all } = listener.adapt ?? { step: null, done: 0, all: 0 };
      if (step !== null && process.stderr.isTTY) {
        if (step !== shown) {
          if (shown !== '') bar.stop();
          bar.start(Math.max(1, all), done, { step });
        } else bar.update(done, { step });
      } else if (step !== null && step !== shown) tell(`  ${step}`);
      shown = step ?? shown;
      await pause(250);
    }
  } finally {
    if (process.stderr.isTTY && shown !== '') bar.stop();
  }
};

/** What `bitlane adapt history ID --json` says of what was made. */
const recordSchema = z.looseObject({
  pairs: z.array(z.tuple([z.string(), z.string()])),
  objective: z.string().optional(),
  bits: z.record(z.string(), z.number()),
  int8: z.number(),
  modelBytes: z.number().nullable(),
  runMs: z.number().nullable(),
  parentRunMs: z.number().nullable().optional(),
});

/** Where bits went, and what that does to the file and to a run. */
const tellMade = (
  { pairs, objective, bits, int8, modelBytes, runMs, parentRunMs }: z.output<typeof recordSchema>,
  parentBytes: number,
): void => {
  if (modelBytes === null) return;
  tell(
    `adapted to ${pairs.map((pair) => pair.join(' / ')).join(', ')}: what it confused most when that began`,
  );
  const shares = Object.entries(bits).map(([width, share]) => `${per(share)} at ${width} bits`);
  tell(
    `weights: ${shares.join(', ')}${objective === undefined ? '' : `, by the objective ${objective}: its whole model did the least damage of those tried`}`,
  );
  tell(`the file: ${modelBytes} bytes, ${per(modelBytes / parentBytes)} of before`);
  if (runMs === null || parentRunMs === null || parentRunMs === undefined) return;
  tell(
    `one run of it: ${per(runMs / parentRunMs)} of the time of before; ${int8 === 0 ? 'no time was asked for, and kernels compute in fp32 as before' : `${int8} layers compute in int8`}`,
  );
};

export interface Story {
  readonly firstDetectionS: number;
  readonly tracks: number;
  readonly counted: number;
  readonly examples: number;
  readonly confused: readonly string[];
  readonly outcome: string;
  readonly reason: string;
  readonly swapS: number | null;
  /** Of the candidate `null` where none was made. */
  readonly modelBytes: readonly [before: number, after: number | null];
  readonly frames: {
    readonly received: number;
    readonly detected: number;
    readonly skipped: number;
    readonly lost: number;
  };
  readonly report: string;
}

/** What is missing in a story, in plain sentences. */
export const missing = (story: Story): string[] => [
  ...(story.firstDetectionS <= 30
    ? []
    : [`the first vehicle was seen after ${story.firstDetectionS.toFixed(0)} s`]),
  ...(story.counted > 0 ? [] : ['nothing was counted']),
  ...(story.examples > 0 ? [] : ['no hard example was kept']),
  ...(story.confused.length > 0 ? [] : ['no confusion was observed']),
  ...(story.outcome === 'committed' ? [] : [`the adaptation was ${story.outcome}: ${story.reason}`]),
  ...(story.swapS !== null && story.swapS <= 60 * MINUTES ? [] : [`no swap within ${MINUTES} minutes`]),
  ...(story.frames.lost === 0 ? [] : [`${story.frames.lost} frames were lost`]),
];

/** Plays it with a daemon that was just started. */
export const play = async (listener: Listener, daemon: ChildProcess, place: Place): Promise<Story> => {
  const { state, watchS, config, parentBytes, budgetBytes } = place;
  await waitFor(
    () => (listener.health?.frames.detected ?? 0) > 0 || listener.tracks > 0,
    daemon,
    'a frame that was looked at',
    60,
  );
  tell('frames come in');
  await waitFor(() => listener.tracks > 0 || listener.examples.size > 0, daemon, 'a vehicle', 60);
  const firstDetectionS = seconds();
  tell('vehicles are detected');
  tell(
    `it watches the road for ${watchS} s; meanwhile pictures of it, with labels, are drawn: what it adapts to and is judged on`,
  );
  const until = seconds() + watchS;
  const drawn = drawRoad(place);
  // It is waited for below; until then its failure is nobody's.
  drawn.catch(() => undefined);
  await waitFor(
    () => seconds() > until && listener.counts.size > 0 && listener.examples.size > 0,
    daemon,
    'a hard example',
    240,
  );
  await drawn;
  const sum = (of: ReadonlyMap<string, number>): number => [...of.values()].reduce((a, b) => a + b, 0);
  tell(`${listener.tracks} vehicles; across the line went ${top(listener.counts, 6)}`);
  tell(`${sum(listener.examples)} hard examples kept: ${top(listener.examples, 4)}`);
  const confused = [...listener.pairs].sort((a, b) => b.rate * b.support - a.rate * a.support).slice(0, 4);
  for (const { a, b, rate, support } of confused) {
    tell(
      `  ${a} and ${b} are taken for each other ${per(rate)} of the time, of about ${support.toFixed(0)} seen lately`,
    );
  }
  tell(
    `it adapts: which layers tell these types apart, and who gets the bits within ${budgetBytes} bytes (${per(budgetBytes / parentBytes)})`,
  );
  await listener.command('adapt/start', {});
  await waitFor(() => !['idle', undefined].includes(listener.adapt?.status), daemon, 'an adaptation', 30);
  await follow(listener, daemon, 60 * MINUTES);
  await waitFor(
    () => listener.adapt?.status === 'idle' || listener.adapt?.status === 'watching',
    daemon,
    'an end',
    30,
  );
  const committed = listener.models.find(({ step, generation }) => step === 'committed' && generation > 1);
  const swapS = committed === undefined ? null : seconds();
  if (swapS !== null)
    tell('the adapted model serves; the process of the old one has ended. It is watched for a while');
  await waitFor(
    () => listener.adapt?.status === 'idle' && listener.adapt.last !== null,
    daemon,
    'a verdict',
    120,
  );
  const { last } = listener.adapt ?? {};
  const report = join(state, 'adaptation.html');
  const history = await cli(
    ['adapt', 'history', last?.adaptation ?? '', '--config', config, '--report', report, '--json'],
    60_000,
  );
  const seen = listener.health?.frames ?? { received: 0, detected: 0, skipped: 0, bad: 0 };
  const record = recordSchema.parse(JSON.parse(history));
  tell(`${last?.outcome ?? 'unknown'}: ${last?.reason ?? ''}`);
  tellMade(record, parentBytes);
  return {
    firstDetectionS,
    tracks: listener.tracks,
    counted: sum(listener.counts),
    examples: sum(listener.examples),
    confused: confused.map(({ a, b }) => `${a}:${b}`),
    outcome: last?.outcome ?? 'unknown',
    reason: last?.reason ?? '',
    swapS,
    modelBytes: [parentBytes, record.modelBytes],
    frames: {
      received: seen.received,
      detected: seen.detected,
      skipped: seen.skipped,
      lost: listener.lost,
    },
    report,
  };
};
