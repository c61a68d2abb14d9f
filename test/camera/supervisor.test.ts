import t from 'tap';
import type { Driver, Sink } from '../../src/camera/driver.js';
import { SupervisedSource } from '../../src/camera/supervisor.js';
import { silentLog } from '../../src/system/index.js';
import type { Picture } from '../../src/vision/index.js';
import { until, watch } from './watch.js';

const picture: Picture = { format: 'rgb24', width: 1, height: 1, data: new Uint8Array(3) };

/** A driver that does what the test tells it to. */
class Puppet implements Driver {
  readonly size = undefined;
  readonly frameMs: number | undefined = undefined;
  readonly sinks: Sink[] = [];
  stopped = 0;
  /** What a stop waits for. */
  held: Promise<void> = Promise.resolve();

  start(sink: Sink) {
    this.sinks.push(sink);
    return {
      stop: async () => {
        await this.held;
        this.stopped += 1;
      },
    };
  }

  get sink(): Sink {
    const sink = this.sinks.at(-1);
    if (sink === undefined) throw new Error('the driver was not started');
    return sink;
  }
}

const times = { kind: 'replay', stallTimeoutMs: 60_000, restartInitialMs: 4, restartMaxMs: 20 } as const;

t.test('waits grow up to the longest, and every failure is told', async (t) => {
  const driver = new Puppet();
  const source = new SupervisedSource(driver, times, silentLog);
  const seen = watch(source);
  source.start();
  for (let run = 1; run <= 6; run += 1) {
    await until('the run', () => driver.sinks.length === run);
    driver.sink.failed(`failure ${run}`);
    driver.sink.failed('said when it is over');
  }
  await until('a last run', () => driver.sinks.length === 7);
  t.same(
    seen.problems,
    [1, 2, 3, 4, 5, 6].map((run) => `failure ${run}`),
  );
  const [first = 0] = seen.waits;
  t.ok(first <= 4 && seen.waits.every((ms) => ms <= 20) && (seen.waits.at(-1) ?? 0) >= 15);
  t.match(source.counters, { restarts: 6, stalls: 0 });
  await source.stop();
  t.equal(driver.stopped, 7);
});

t.test('a silent source is stalled, one whose consumer is slow is not', async (t) => {
  const driver = new Puppet();
  const source = new SupervisedSource(driver, { ...times, stallTimeoutMs: 200 }, silentLog);
  const seen = watch(source);
  source.start();
  await until('the stall', () => source.counters.stalls >= 1 && source.state === 'starting');
  await until('the next run', () => driver.sinks.length === source.counters.stalls + 1);
  const { stalls } = source.counters;
  t.match(seen.problems[0], /delivered no complete frame for 0\.2 s/);
  t.equal(await driver.sink.wanted(), true, 'the first frame needs no demand');
  driver.sink.frame(picture);
  const second = driver.sink.wanted();
  await new Promise((resolve) => setTimeout(resolve, 500));
  t.equal(source.counters.stalls, stalls, 'waiting for the consumer is no stall');
  source.ready();
  source.ready();
  t.equal(await second, true);
  driver.sink.frame(picture);
  t.equal(source.counters.received, 2);
  await until('a second stall', () => source.counters.stalls > stalls);
  const pending = driver.sinks.at(-1)?.wanted();
  await source.stop();
  t.equal(await pending, false, 'a stop ends the wait');
});

t.test('a run begins only when nothing of the one before is left', async (t) => {
  const driver = new Puppet();
  const source = new SupervisedSource(driver, times, silentLog);
  let release = (): void => undefined;
  driver.held = new Promise((resolve) => {
    release = resolve;
  });
  source.start();
  await until('the run', () => driver.sinks.length === 1);
  driver.sink.failed('away');
  await new Promise((resolve) => setTimeout(resolve, 100));
  const restarted = source.restart();
  await new Promise((resolve) => setTimeout(resolve, 50));
  t.equal(driver.sinks.length, 1);
  release();
  await restarted;
  await until('the next run', () => driver.sinks.length === 2);
  await source.stop();
});

t.test('seq numbers every frame, the skipped ones too; a listener may stop the source', async (t) => {
  const driver = new Puppet();
  const source = new SupervisedSource(driver, times, silentLog);
  const seen = watch(source);
  source.start();
  await until('the run', () => driver.sinks.length === 1);
  driver.sink.frame(picture);
  driver.sink.skipped(3);
  driver.sink.frame(picture, 12.5);
  t.same(
    seen.frames.map((frame) => frame.seq),
    [0, 4],
  );
  t.equal(seen.frames[1]?.receivedAtMs, 12.5);
  t.match(source.counters, { received: 5, skipped: 3 });
  source.on('problem', () => void source.stop());
  driver.sink.failed('away');
  driver.sink.frame(picture);
  driver.sink.ended();
  await new Promise((resolve) => setTimeout(resolve, 60));
  t.same(seen.states, ['starting', 'running', 'waiting', 'stopped']);
  t.equal(driver.sinks.length, 1);
});
