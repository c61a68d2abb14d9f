// Candidates that are bad on purpose, and a service that serves a good one meanwhile.
import { mkdtempSync, rmSync, truncateSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Deployed, Demands } from '../../src/adaptation/index.js';
import { parseConfig } from '../../src/config/index.js';
import { ModelService } from '../../src/daemon/models.js';
import { Registry } from '../../src/registry/index.js';
import { silentLog } from '../../src/system/index.js';
import { encodeJpeg } from '../../src/vision/index.js';
import { tinyAt } from '../helpers/daemon.js';
import type { TinyOptions } from '../helpers/tinyModel.js';

const SIDE = 64;
const GOOD = 8;
/** One frame in so many is bright. */
const EVERY = 100;
const [DARK, BRIGHT] = [90, 220];
const FRAME_MS = 4;

export const KINDS = [
  'NaN weights',
  'torn file',
  'wrong classes',
  'too slow',
  'too large',
  'worse accuracy',
  'crash on the 100th frame',
] as const;
export type Kind = (typeof KINDS)[number];

/** What each kind must be refused with. */
export const REASONS: Readonly<Record<Kind, RegExp>> = {
  'NaN weights': /not finite numbers/,
  'torn file': /truncated|altered/,
  'wrong classes': /objects that the serving model is sure of/,
  'too slow': /more than the budget of 2 ms/,
  'too large': /over the budget of 100000 bytes/,
  'worse accuracy': /objects that the serving model is sure of/,
  'crash on the 100th frame': /the detector process ended/,
};

const DEMANDS: Demands = {
  budget: { latencyMs: 2, modelBytes: 100_000 },
  canaryFrames: 20,
  minAgreement: 0.6,
};

const make = (
  kind: Kind,
  number: number,
): { readonly at: number; readonly options: Partial<TinyOptions>; readonly demands: Demands } => {
  const options = { marker: 1_000 + number };
  switch (kind) {
    case 'NaN weights':
      return { at: GOOD, options: { ...options, nan: true }, demands: DEMANDS };
    case 'torn file':
      return { at: GOOD, options, demands: DEMANDS };
    case 'wrong classes':
      return { at: GOOD, options: { ...options, classes: ['boat', 'plane'] }, demands: DEMANDS };
    case 'too slow':
      return {
        at: GOOD,
        options: { ...options, delayLayers: 60 },
        demands: { ...DEMANDS, budget: { latencyMs: 2 } },
      };
    case 'too large':
      return {
        at: GOOD,
        options: { ...options, padBytes: 200_000 },
        demands: { ...DEMANDS, budget: { modelBytes: 100_000 } },
      };
    case 'worse accuracy':
      return { at: 44, options, demands: DEMANDS };
    case 'crash on the 100th frame':
      return {
        at: GOOD,
        options: { ...options, crashAbove: (DARK + BRIGHT) / 2 },
        demands: { minAgreement: 0.6, canaryFrames: 150 },
      };
  }
};

export interface Tried {
  readonly kind: Kind;
  readonly deployed: Deployed;
  /** The good model serves on. */
  readonly serves: boolean;
}

/** Offers one candidate after the other to a serving model under load. */
export const offerBad = async (
  kinds: readonly Kind[],
  onTried: (tried: Tried) => void = () => undefined,
): Promise<{ readonly tried: readonly Tried[]; readonly lost: number; readonly frames: number }> => {
  const stateDir = mkdtempSync(join(tmpdir(), 'bitlane-bad-'));
  const registry = new Registry({ stateDir });
  await registry.start();
  // Not so fast that a slow one is refused for the ratio alone.
  const good = tinyAt(GOOD, { delayLayers: 4 });
  await registry.install(good.bytes, good.manifest);
  const config = parseConfig({
    stateDir,
    camera: { kind: 'replay', path: '/nowhere' },
    detector: {
      spinning: false,
      frameTimeoutMs: 20_000,
      startTimeoutMs: 60_000,
      classes: ['car', 'truck', 'boat', 'plane'],
    },
    swap: { maxLatencyRatio: 100 },
  });
  const service = new ModelService({ registry, config, log: silentLog });
  const jpegs = [DARK, BRIGHT].map((value) =>
    encodeJpeg(
      { format: 'rgb24', width: SIDE, height: SIDE, data: new Uint8Array(3 * SIDE * SIDE).fill(value) },
      80,
    ),
  );
  let seq = 0;
  const camera = setInterval(() => {
    seq += 1;
    service.offer({
      seq,
      receivedAtMs: performance.now(),
      wallMs: Date.now(),
      format: 'jpeg',
      width: SIDE,
      height: SIDE,
      data: jpegs[seq % EVERY === 0 ? 1 : 0] ?? new Uint8Array(),
    });
  }, FRAME_MS);
  const tried: Tried[] = [];
  try {
    await service.start();
    while (service.counters.done < 20) await new Promise((resolve) => setTimeout(resolve, 10));
    for (const [number, kind] of kinds.entries()) {
      const { at, options, demands } = make(kind, number);
      const tiny = tinyAt(at, options);
      await registry.install(tiny.bytes, tiny.manifest);
      if (kind === 'torn file') {
        truncateSync(join(registry.folder, tiny.id, 'model.onnx'), Math.floor(tiny.bytes.length / 2));
      }
      const deployed = await service.deploy(tiny.id, demands);
      const before = service.counters.done;
      while (service.counters.done < before + 5) await new Promise((resolve) => setTimeout(resolve, 5));
      const one = {
        kind,
        deployed,
        serves: registry.active === good.id && service.artifact?.id === good.id,
      };
      tried.push(one);
      onTried(one);
    }
    return { tried, lost: service.counters.lost, frames: service.counters.received };
  } finally {
    clearInterval(camera);
    await service.stop();
    registry.stop();
    rmSync(stateDir, { recursive: true, force: true });
  }
};
