// What an adaptation costs the road while it runs: frames with the adapter stopped and started in turns.
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { dirname, join } from 'node:path';
import { SingleBar } from 'cli-progress';
import { z } from 'zod';
import { Adapter, writeJob } from '../../../src/adaptation/index.js';
import { readConfig } from '../../../src/config/index.js';
import { Daemon } from '../../../src/daemon/index.js';
import { type FrameResult, workMs } from '../../../src/detector/index.js';
import { Registry } from '../../../src/registry/index.js';
import { RootLog } from '../../../src/system/index.js';
import { callDaemon } from '../../../src/telemetry/index.js';
import { census, type Figure, medianFigure } from '../lib.js';
import { nanoArtifact } from '../nano.js';

export interface ServingOptions {
  /** Folder of JPEG frames. */
  readonly frames: string;
  readonly modelPath: string;
  readonly data: string;
  readonly fps: number;
  readonly turns: number;
  readonly seconds: number;
  /** The adapter does not rest while a frame is at work. */
  readonly beside: boolean;
}

const PICTURES = 200;
const LIMITS = { memoryMb: 6_000, deadlineMs: 3_600_000 };
/** What the change from one turn to the next does is no part of either. */
const SETTLE_MS = 2_000;
/** How often the event loop is looked at; a delay is what comes on top. */
const RESOLUTION_MS = 1;

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

const p95 = (times: readonly number[]): number => {
  const sorted = [...times].sort((a, b) => a - b);
  return sorted[Math.ceil(0.95 * sorted.length) - 1] ?? Number.NaN;
};

/** Runs the job to its longest step, which no turn would come to: a step that is ended is done anew. */
const reachLayers = async (folder: string): Promise<void> => {
  const adapter = new Adapter({
    ...LIMITS,
    folder,
    onProgress: (step) => {
      if (step === 'measuring') void adapter.stop();
    },
  });
  await adapter.run().catch(() => undefined);
};

/** @returns figures, and what they were measured on */
export const serving = async ({
  frames,
  modelPath,
  data,
  fps,
  turns,
  seconds,
  beside: worksBeside,
}: ServingOptions): Promise<{ readonly figures: readonly Figure[]; readonly about: object }> => {
  const state = mkdtempSync(join(tmpdir(), 'bitlane-adaptation-'));
  const bar = process.stderr.isTTY ? new SingleBar({ stream: process.stderr }) : undefined;
  try {
    const shown = join(state, 'frames');
    mkdirSync(shown);
    const names = readdirSync(frames)
      .filter((name) => /\.jpe?g$/i.test(name))
      .sort()
      .slice(0, PICTURES);
    for (const name of names) copyFileSync(join(frames, name), join(shown, name));
    const registry = new Registry({ stateDir: state });
    await registry.start();
    const { artifact, remove } = await nanoArtifact(modelPath);
    const served = await registry.install(artifact.modelPath, artifact.manifest).finally(remove);
    registry.stop();
    const [folder, cache] = [join(state, 'job'), join(state, 'cache')];
    for (const path of [folder, cache]) mkdirSync(path);
    const pictures = { path: data, split: 'train' as const, most: 300 };
    writeJob(folder, {
      format: 'bitlane-adaptation',
      version: 1,
      id: 'bench',
      createdAt: new Date().toISOString(),
      trigger: 'command',
      parent: dirname(served.modelPath),
      baseline: dirname(served.modelPath),
      tuning: pictures,
      validation: { ...pictures, split: 'val' },
      pairs: [
        ['car', 'truck'],
        ['bus', 'truck'],
      ],
      budget: { averageBits: 4 },
      objective: 'semantic',
      calibrationPictures: 16,
      processes: 1,
      threads: 1,
      acceptance: { minPictures: 30, minObjects: 20, maxDrop: 0.05 },
      cache,
    });
    const local = readConfig(
      JSON.stringify({
        stateDir: state,
        runtimeDir: state,
        logLevel: 'error',
        camera: { kind: 'replay', path: shown, fps },
        // Mined and stored as on a road, and at once: the figures of the event loop are with all of it.
        examples: { reserveMb: 0, flushSeconds: 5 },
      }),
      'the benchmark.json',
    );
    let times: { total: number; work: number }[] = [];
    let adapter: Adapter | undefined;
    const daemon = new Daemon({
      local,
      rootLog: new RootLog({ level: 'error' }),
      observer: {
        result: (result: FrameResult) => void times.push({ total: result.totalMs, work: workMs(result) }),
        busy: (busy) => adapter?.frames(busy),
      },
    });
    await daemon.start();
    const turn = async (): Promise<{ total: number; work: number; frames: number; delay: number }> => {
      await sleep(SETTLE_MS);
      times = [];
      const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
      delay.enable();
      await sleep(seconds * 1000);
      delay.disable();
      return {
        total: p95(times.map(({ total }) => total)),
        work: p95(times.map(({ work }) => work)),
        frames: times.length,
        delay: Math.max(0, delay.percentile(99) / 1e6 - RESOLUTION_MS),
      };
    };
    const steps = new Set<string>();
    const ratios: { total: number; work: number; frames: number }[] = [];
    const delays: { readonly without: number; readonly beside: number }[] = [];
    let mined = 0;
    const peaks: number[] = [];
    try {
      while (times.length < 10) await sleep(50);
      bar?.start(turns, 0);
      for (let done = 1; done <= turns; done++) {
        if (done === Math.ceil(turns / 2) + 1) await reachLayers(folder);
        adapter = undefined;
        const without = await turn();
        adapter = new Adapter({
          ...LIMITS,
          folder,
          rests: () => !worksBeside,
          onProgress: (step) => steps.add(step),
        });
        let ended = false;
        const run = adapter.run().then(
          () => (ended = true),
          () => (ended = true),
        );
        const beside = await turn();
        if (ended)
          throw new Error('the adaptation ended before the turns did: take more pictures, or fewer turns');
        await adapter.stop();
        await run;
        peaks.push(adapter.peakMb);
        delays.push({ without: without.delay, beside: beside.delay });
        ratios.push({
          total: beside.total / without.total,
          work: beside.work / without.work,
          frames: beside.frames / without.frames,
        });
        bar?.update(done);
      }
      const { total } = z.looseObject({ total: z.number() }).parse(await callDaemon(state, 'examples/list'));
      mined = total;
    } finally {
      bar?.stop();
      await daemon.stop();
    }
    const counted = daemon.frames ?? { received: 0, done: 0, dropped: 0, skipped: 0, lost: 0 };
    // What was in flight or waited when the run ended is not lost: two frames at the most.
    const lost = Math.max(0, counted.received - counted.done - counted.dropped - counted.skipped - 2);
    return {
      about: {
        model: served.id,
        pictures: names.length,
        fps,
        turns,
        seconds,
        betweenFrames: !worksBeside,
        frames: counted,
        steps: [...steps],
        peakMb: Math.max(...peaks),
        examples: mined,
      },
      figures: [
        census('serving.framesLost', 'frames', lost, counted.received),
        medianFigure(
          'serving.p95Ratio',
          'ratio',
          ratios.map(({ total }) => total),
        ),
        medianFigure(
          'serving.workP95Ratio',
          'ratio',
          ratios.map(({ work }) => work),
        ),
        medianFigure(
          'serving.throughputRatio',
          'ratio',
          ratios.map(({ frames: share }) => share),
        ),
        medianFigure(
          'serving.eventLoopP99Ms',
          'ms',
          delays.map(({ without }) => without),
        ),
        medianFigure(
          'serving.eventLoopBesideP99Ms',
          'ms',
          delays.map(({ beside }) => beside),
        ),
      ],
    };
  } finally {
    rmSync(state, { recursive: true, force: true });
  }
};
