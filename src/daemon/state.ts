// The retained states, as the messages say them.
import { cpus, totalmem } from 'node:os';
import type { FrameSource } from '../camera/index.js';
import type { Config } from '../config/index.js';
import type { ExampleKeeper } from '../examples/index.js';
import type { Artifact, Registry } from '../registry/index.js';
import type { OutboxCounters } from '../store/index.js';
import { packageVersion } from '../system/index.js';
import type { StateBody, TelemetryCounters } from '../telemetry/index.js';
import type { HealthSample } from './health.js';
import type { LatencyWindow } from './latency.js';
import type { ModelService } from './models.js';

const MIB = 2 ** 20;
const mb = (bytes: number): number => Math.round((bytes / MIB) * 10) / 10;
const tenth = (value: number): number => Math.round(value * 10) / 10;
const rounded = (value: number | null): number | null => (value === null ? null : tenth(value));

export const infoState = (
  config: Config,
  startedMs: number,
  size: { readonly width: number; readonly height: number } | undefined,
): StateBody<'info'> => ({
  device: config.device,
  ...(config.site === undefined ? {} : { site: config.site }),
  version: packageVersion,
  started_at: new Date(startedMs).toISOString(),
  node: process.version,
  platform: `${process.platform}/${process.arch}`,
  hardware: cpus()[0]?.model.trim() ?? 'unknown',
  cpus: Math.max(1, cpus().length),
  memory_mb: mb(totalmem()),
  camera: {
    kind: config.camera.kind,
    ...(size ?? {}),
    ...('fps' in config.camera && config.camera.fps !== undefined && { fps: config.camera.fps }),
  },
  lines: config.lines.map(({ name, forward, backward }) => ({ name, directions: [forward, backward] })),
  zones: config.zones.map(({ name }) => name),
  count_intervals: [...config.counting.intervals],
});

/** How many components have which bit-width; one of several counts as its widest. */
const bitsOf = (artifact: Artifact): { readonly bits?: Record<string, number> } => {
  const { allocation } = artifact.manifest;
  if (allocation === undefined) return {};
  const bits: Record<string, number> = {};
  for (const entry of Object.values(allocation.components)) {
    const widest = String(typeof entry.bits === 'number' ? entry.bits : Math.max(...entry.bits));
    bits[widest] = (bits[widest] ?? 0) + 1;
  }
  return { bits };
};

const budgetOf = (artifact: Artifact | undefined): Pick<StateBody<'model/state'>, 'budget'> => {
  const budget = artifact?.manifest.budget;
  if (budget === undefined) return {};
  const { latencyMs, modelBytes, memoryMb } = budget;
  return {
    budget: {
      ...(latencyMs !== undefined && { latency_ms: latencyMs }),
      ...(modelBytes !== undefined && { model_bytes: Math.floor(modelBytes) }),
      ...(memoryMb !== undefined && { memory_mb: memoryMb }),
    },
  };
};

export const modelState = (
  models: ModelService,
  registry: Registry,
  latency: LatencyWindow,
  memoryMb: number | undefined,
): StateBody<'model/state'> => {
  const { artifact } = models;
  const [p50, p95] = [latency.quantile(0.5), latency.quantile(0.95)];
  return {
    status: models.status,
    generation: models.generations,
    active:
      artifact === undefined
        ? null
        : {
            id: artifact.id,
            name: artifact.manifest.name,
            head: artifact.manifest.detector.head.type,
            input: {
              width: artifact.manifest.detector.input.width,
              height: artifact.manifest.detector.input.height,
            },
            classes: [...artifact.manifest.detector.classes],
            ...bitsOf(artifact),
          },
    previous: registry.previous,
    factory: registry.factory,
    candidate: models.candidate?.id ?? null,
    ...budgetOf(artifact),
    measured: {
      ...(p50 === null ? {} : { latency_p50_ms: tenth(p50) }),
      ...(p95 === null ? {} : { latency_p95_ms: tenth(p95) }),
      ...(artifact === undefined ? {} : { model_bytes: artifact.manifest.modelBytes }),
      ...(memoryMb === undefined ? {} : { memory_mb: memoryMb }),
    },
  };
};

export interface HealthParts {
  readonly sample: HealthSample;
  readonly uptimeMs: number;
  readonly fps: number;
  readonly latency: LatencyWindow;
  readonly camera: Pick<FrameSource, 'state' | 'counters'>;
  readonly models: ModelService;
  readonly outbox: OutboxCounters;
  readonly telemetry: TelemetryCounters;
  readonly examples: ExampleKeeper;
}

/** Resident memory of the serving detector in MiB, where the sample has it. */
export const detectorMemoryMb = (sample: HealthSample, pid: number | undefined): number | undefined => {
  const bytes = sample.processes.find((process) => process.pid === pid)?.rssBytes;
  return bytes === undefined ? undefined : mb(bytes);
};

export const healthState = (parts: HealthParts): StateBody<'health'> => {
  const { sample, camera, models, outbox, latency } = parts;
  const { counters } = models;
  const memoryMb = detectorMemoryMb(sample, models.pid);
  return {
    uptime_s: Math.round(parts.uptimeMs / 1000),
    fps: tenth(parts.fps),
    latency_p50_ms: rounded(latency.quantile(0.5)),
    latency_p95_ms: rounded(latency.quantile(0.95)),
    frames: {
      received: camera.counters.received,
      detected: counters.done,
      skipped: counters.skipped + camera.counters.skipped,
      bad: camera.counters.bad + counters.dropped,
    },
    camera: {
      state: camera.state,
      restarts: camera.counters.restarts,
      stalls: camera.counters.stalls,
    },
    detector: { restarts: models.restarts, ...(memoryMb === undefined ? {} : { memory_mb: memoryMb }) },
    event_loop_p99_ms: tenth(sample.eventLoop.p99Ms),
    temperature_c: rounded(sample.temperatureC),
    throttled: sample.throttling === null ? null : sample.throttling.now.length > 0,
    memory: {
      supervisor_mb: mb(
        sample.processes.find(({ pid }) => pid === process.pid)?.rssBytes ?? process.memoryUsage.rss(),
      ),
      ...(sample.memory === null
        ? {}
        : { free_mb: mb(sample.memory.availableBytes), total_mb: mb(sample.memory.totalBytes) }),
    },
    disk:
      sample.disk === null
        ? null
        : { free_mb: mb(sample.disk.availableBytes), total_mb: mb(sample.disk.totalBytes) },
    load: sample.load.one,
    examples: examplesHealth(parts.examples),
    outbox: {
      rows: outbox.rows,
      bytes: outbox.bytes,
      evicted: outbox.evicted.telemetry + outbox.evicted.event + outbox.evicted.counts,
      refused: parts.telemetry.refused,
      unsaved: outbox.unsaved,
    },
  };
};

const examplesHealth = ({
  library,
  counters: { found, dropped },
}: ExampleKeeper): NonNullable<StateBody<'health'>['examples']> => {
  const { examples: kept, bytes } = library.size;
  const { passedOver, refusedByReserve, failed } = library.counters;
  return { kept, bytes, found, dropped, passed_over: passedOver, refused: refusedByReserve + failed };
};
