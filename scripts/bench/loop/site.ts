// A daemon beside a road of labelled pictures: what it needs to be set up, to watch, and to adapt once.
import { copyFileSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { type AdaptationRecord, readHistory } from '../../../src/adaptation/index.js';
import { readConfig } from '../../../src/config/index.js';
import { Daemon } from '../../../src/daemon/index.js';
import type { FeedCounters, FrameResult } from '../../../src/detector/index.js';
import type { DataSet } from '../../../src/evaluation/index.js';
import { readModel } from '../../../src/onnx/index.js';
import {
  edgedAllocation,
  integersSaturate,
  prepareModel,
  quantizeArtifact,
} from '../../../src/quantization/index.js';
import { type Artifact, Registry } from '../../../src/registry/index.js';
import { Random, RootLog } from '../../../src/system/index.js';
import { callDaemon } from '../../../src/telemetry/index.js';
import { nanoArtifact } from '../nano.js';
import { Operator, storedExamples } from './operator.js';

export type Width = 2 | 4 | 8;

const CALIBRATED = 64;
const STATUS_MS = 1_000;
const SETTLE_MS = 4_000;

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Installs the FP32 model and itself at uniform bits, rounded on pictures of the road; the latter serves. */
export const installUniform = async (
  stateDir: string,
  modelPath: string,
  road: DataSet,
  bits: Width,
): Promise<{ readonly parent: Artifact; readonly uniform: Artifact }> => {
  const registry = new Registry({ stateDir });
  await registry.start();
  try {
    const { artifact, remove } = await nanoArtifact(modelPath);
    const parent = await registry.install(artifact.modelPath, artifact.manifest).finally(remove);
    const { bytes, manifest } = await quantizeArtifact(parent, {
      allocation: edgedAllocation(prepareModel(readModel(parent.modelPath)), bits, 'fp32'),
      calibration: road,
      pictures: CALIBRATED,
      rounding: 'gptq',
      reduceRange: await integersSaturate(),
    });
    const uniform = await registry.install(bytes, manifest);
    await registry.activate(uniform);
    return { parent, uniform };
  } finally {
    registry.stop();
  }
};

/** Puts pictures into a folder in an order of chance. */
export const shuffled = (
  pictures: readonly { readonly path: string }[],
  folder: string,
  seed: number,
): number => {
  const random = new Random(seed);
  const order = [...pictures];
  for (let i = order.length - 1; i > 0; i -= 1) {
    const j = random.below(i + 1);
    const [a, b] = [order[i], order[j]];
    if (a !== undefined && b !== undefined) [order[i], order[j]] = [b, a];
  }
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  for (const [index, { path }] of order.entries()) {
    copyFileSync(path, join(folder, `${String(index).padStart(6, '0')}.jpg`));
  }
  return order.length;
};

export interface SiteOptions {
  readonly stateDir: string;
  /** Folder of the pictures that the camera shows, again and again. */
  readonly shown: string;
  readonly fps: number;
  readonly road: DataSet;
  readonly classes: readonly string[];
  /** Which picture was shown when, in runs before. */
  readonly frames?: readonly (readonly [string, number])[];
  /** The section `adaptation`. */
  readonly adaptation: object;
  readonly confusions?: object;
  readonly examples?: object;
  /** Priority of the adapter; 19, as on a device, where it is left out. */
  readonly nice?: number;
  readonly say: (text: string) => void;
}

/** What a stream of single pictures needs: no picture has to do with the one before, so that no track may join them. */
const STILLS = { minHits: 1, matchIou: 1, matchIouLow: 1, maxLostMs: 0 } as const;

const adaptState = z.looseObject({
  status: z.string(),
  adaptation: z.string().nullable(),
  step: z.string().nullable(),
  done: z.number(),
  all: z.number(),
  last: z.looseObject({ adaptation: z.string(), outcome: z.string(), reason: z.string() }).nullable(),
});
export type AdaptState = z.infer<typeof adaptState>;

/** One run of the daemon. Start it once, stop it once. */
export class Site {
  readonly operator: Operator;
  readonly #options: SiteOptions;
  readonly #daemon: Daemon;
  #frames = 0;
  #started: Promise<void> | undefined;

  constructor(options: SiteOptions) {
    const { stateDir, shown, fps, road, classes, adaptation, confusions = {}, examples = {} } = options;
    this.#options = options;
    this.operator = new Operator(road, classes, options.frames);
    const local = readConfig(
      JSON.stringify({
        stateDir,
        runtimeDir: stateDir,
        logLevel: 'warn',
        camera: { kind: 'replay', path: shown, fps },
        tracking: STILLS,
        telemetry: { tracks: false },
        examples: {
          wholeFrames: true,
          perHour: 36_000,
          perPair: 10_000,
          maxMb: 2_000,
          reserveMb: 0,
          flushSeconds: 2,
          teacher: { enabled: true, framesPerMinute: 60, maxLoad: 100 },
          ...examples,
        },
        confusions: { publishSeconds: 10, ...confusions },
        adaptation,
      }),
      'the benchmark.json',
    );
    this.#daemon = new Daemon({
      local,
      rootLog: new RootLog({ level: 'warn' }),
      ...(options.nice !== undefined && { adapterNice: options.nice }),
      observer: {
        frame: (frame) => this.operator.frame(frame),
        result: (_result: FrameResult) => void (this.#frames += 1),
      },
    });
  }

  get detected(): number {
    return this.#frames;
  }

  get counters(): Readonly<FeedCounters> | undefined {
    return this.#daemon.frames;
  }

  /** Safe to call twice. */
  start(): Promise<void> {
    return (this.#started ??= this.#daemon.start());
  }

  async stop(): Promise<void> {
    if (this.#started !== undefined) await this.#daemon.stop();
  }

  call(name: string, payload: Readonly<Record<string, unknown>> = {}): Promise<unknown> {
    return callDaemon(this.#options.stateDir, name, payload, { timeoutMs: 120_000 });
  }

  async state(): Promise<AdaptState> {
    return adaptState.parse(await this.call('adapt/state'));
  }

  /** Until so many pictures were detected since now. */
  async watch(pictures: number): Promise<void> {
    const until = this.#frames + pictures;
    while (this.#frames < until) await sleep(100);
    await sleep(SETTLE_MS);
  }

  /** Labels a share of what is stored and has no label yet, chosen by seed. @returns the classes that were said, with how often */
  async label(
    share: number,
    seed: number,
  ): Promise<{ readonly stored: number; readonly said: Record<string, number> }> {
    const stored = await storedExamples(this.#options.stateDir);
    const random = new Random(seed);
    const said: Record<string, number> = {};
    for (const example of stored) {
      if (!random.chance(share) || example.label !== null) continue;
      const name = await this.operator.label(this.#options.stateDir, example);
      if (name !== undefined) said[String(name)] = (said[String(name)] ?? 0) + 1;
    }
    return { stored: stored.length, said };
  }

  /** Follows an adaptation to its end, the time for which its model is watched included. */
  async follow(): Promise<AdaptationRecord> {
    let step: string | null = '';
    for (;;) {
      const state = await this.state();
      if (state.step !== step && state.status !== 'idle')
        this.#options.say(`${state.status}: ${state.step ?? ''}`);
      step = state.step;
      if (state.status === 'idle' && state.last !== null) {
        const record = readHistory(this.#options.stateDir, 10).find(
          ({ id }) => id === state.last?.adaptation,
        );
        if (record !== undefined) return record;
      }
      await sleep(STATUS_MS);
    }
  }
}
