// How the device is doing: temperature, throttling, memory, load, disk, processes, event-loop delay.
import { statfs } from 'node:fs/promises';
import { cpus, loadavg } from 'node:os';
import { join } from 'node:path';
import { type IntervalHistogram, monitorEventLoopDelay } from 'node:perf_hooks';
import { mem } from 'systeminformation';
import { namesIfThere, type ProcessHealth, readProcesses, runBounded, textIfThere } from '../system/index.js';

/** What the Pi's firmware holds back; `since boot` flags stay set until the next boot. */
export interface Throttling {
  readonly now: readonly string[];
  readonly sinceBoot: readonly string[];
}

/** One look at the device. `null`: this device does not tell. */
export interface HealthSample {
  readonly at: string;
  readonly temperatureC: number | null;
  readonly throttling: Throttling | null;
  readonly load: {
    readonly one: number;
    readonly five: number;
    readonly fifteen: number;
    readonly cores: number;
  };
  readonly memory: { readonly totalBytes: number; readonly availableBytes: number } | null;
  readonly disk: { readonly totalBytes: number; readonly availableBytes: number } | null;
  /** The supervisor first, then everything below it. */
  readonly processes: readonly ProcessHealth[];
  /** Delay of the event loop since the sample before, in milliseconds. */
  readonly eventLoop: { readonly p50Ms: number; readonly p99Ms: number; readonly maxMs: number };
}

const THROTTLING_BITS = ['under-voltage', 'frequency capped', 'throttled', 'soft temperature limit'] as const;
/** The kernel's timer fires this often; the histogram counts it in, so it is taken off again. */
const RESOLUTION_MS = 10;
const FIRMWARE_THROTTLED = '/sys/devices/platform/soc/soc:firmware/get_throttled';
const VCGENCMD_DEADLINE_MS = 2_000;

/** The flags of `vcgencmd get_throttled` (`throttled=0x50005`, or the bare number as the kernel shows it). */
export const parseThrottled = (text: string): Throttling | null => {
  const match = /^(?:throttled=)?(?:0x)?([0-9a-f]{1,8})\s*$/i.exec(text.trim());
  if (match?.[1] === undefined) return null;
  const bits = Number.parseInt(match[1], 16);
  const at = (shift: number): string[] =>
    THROTTLING_BITS.filter((_, bit) => ((bits >>> (bit + shift)) & 1) === 1);
  return { now: at(0), sinceBoot: at(16) };
};

/** The hottest thermal zone, in degrees Celsius; `null` where there is none. `root` stands for `/` in tests. */
export const readTemperature = async (root = '/'): Promise<number | null> => {
  const folder = join(root, 'sys/class/thermal');
  const zones = (await namesIfThere(folder)).filter((name) => name.startsWith('thermal_zone'));
  const values: number[] = [];
  for (const zone of zones) {
    const text = await textIfThere(join(folder, zone, 'temp'));
    const value = text === undefined || !/^-?[0-9]+\s*$/.test(text) ? Number.NaN : Number(text) / 1000;
    // A sensor that is switched off shows absurd values.
    if (value > -60 && value < 150) values.push(value);
  }
  return values.length === 0 ? null : Math.max(...values);
};

/**
 * Takes samples when asked. Nothing here blocks the event loop: files are read asynchronously, and of systeminformation only
 * what spawns no process is used (its temperature and disk calls go through a shell).
 */
export class HealthProbe {
  readonly #stateDir: string;
  #histogram: IntervalHistogram | undefined;
  #vcgencmd = true;

  /** @param stateDir folder whose file system is reported as `disk` */
  constructor(stateDir: string) {
    this.#stateDir = stateDir;
  }

  /** Begins to record the delay of the event loop. */
  start(): void {
    this.#histogram ??= monitorEventLoopDelay({ resolution: RESOLUTION_MS });
    this.#histogram.enable();
  }

  stop(): void {
    this.#histogram?.disable();
    this.#histogram = undefined;
  }

  /** One sample; the event-loop figures are those since the last one. Never rejects. */
  async sample(): Promise<HealthSample> {
    const eventLoop = this.#eventLoop();
    const [one = 0, five = 0, fifteen = 0] = loadavg();
    const [temperatureC, throttling, memory, disk, processes] = await Promise.all([
      readTemperature(),
      this.#throttling(),
      this.#memory(),
      this.#disk(),
      readProcesses(process.pid),
    ]);
    return {
      at: new Date().toISOString(),
      temperatureC,
      throttling,
      load: { one, five, fifteen, cores: cpus().length },
      memory,
      disk,
      processes,
      eventLoop,
    };
  }

  #eventLoop(): HealthSample['eventLoop'] {
    const histogram = this.#histogram;
    if (histogram === undefined) return { p50Ms: 0, p99Ms: 0, maxMs: 0 };
    const ms = (nanoseconds: number): number => Math.max(0, nanoseconds / 1e6 - RESOLUTION_MS);
    const figures = {
      p50Ms: ms(histogram.percentile(50)),
      p99Ms: ms(histogram.percentile(99)),
      maxMs: ms(histogram.max),
    };
    histogram.reset();
    return figures;
  }

  /** Whether heat or voltage holds the processor back now; `null` where the device does not tell. */
  async isThrottled(): Promise<boolean | null> {
    const found = await this.#throttling();
    return found === null ? null : found.now.some((flag) => flag !== 'under-voltage');
  }

  async #throttling(): Promise<Throttling | null> {
    // Read from the kernel where it shows it: no process is started.
    const text = await textIfThere(FIRMWARE_THROTTLED);
    if (text !== undefined) return parseThrottled(text);
    if (!this.#vcgencmd) return null;
    const result = await runBounded('vcgencmd', ['get_throttled'], { deadlineMs: VCGENCMD_DEADLINE_MS });
    if (result.outcome === 'missing') this.#vcgencmd = false;
    return result.outcome === 'exit' && result.code === 0 ? parseThrottled(result.stdout) : null;
  }

  async #memory(): Promise<HealthSample['memory']> {
    try {
      const { total, available } = await mem();
      return { totalBytes: total, availableBytes: available };
    } catch {
      return null;
    }
  }

  async #disk(): Promise<HealthSample['disk']> {
    try {
      const stats = await statfs(this.#stateDir);
      return { totalBytes: stats.blocks * stats.bsize, availableBytes: stats.bavail * stats.bsize };
    } catch {
      return null;
    }
  }
}
