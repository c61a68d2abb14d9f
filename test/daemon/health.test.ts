import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fc from 'fast-check';
import t from 'tap';
import { HealthProbe, parseThrottled, readTemperature } from '../../src/daemon/health.js';
import { readProcesses } from '../../src/system/index.js';

t.test('a sample of this device', async (t) => {
  const child = spawn(process.execPath, ['-e', 'console.log("up"); setInterval(() => {}, 1000)'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.teardown(() => child.kill('SIGKILL'));
  await once(child.stdout, 'data');
  const probe = new HealthProbe(t.testdir());
  probe.start();
  t.teardown(() => probe.stop());
  const sample = await probe.sample();
  t.equal(sample.processes[0]?.pid, process.pid, 'the supervisor stands first');
  const found = sample.processes.find((entry) => entry.pid === child.pid);
  t.ok((found?.rssBytes ?? 0) > 1_000_000, 'the child has resident memory');
  t.ok(sample.memory !== null && sample.memory.totalBytes > sample.memory.availableBytes);
  t.ok(sample.disk !== null && sample.disk.totalBytes > sample.disk.availableBytes);
  t.ok(sample.load.cores >= 1);
});

t.test('a blocked event loop is seen once, in its own interval', async (t) => {
  const probe = new HealthProbe('/');
  probe.start();
  t.teardown(() => probe.stop());
  await new Promise((resolve) => setTimeout(resolve, 50));
  await probe.sample();
  const until = performance.now() + 1_500;
  while (performance.now() < until);
  await new Promise((resolve) => setTimeout(resolve, 50));
  const blocked = await probe.sample();
  t.ok(blocked.eventLoop.maxMs > 1_000, `${blocked.eventLoop.maxMs} ms`);
  await new Promise((resolve) => setTimeout(resolve, 50));
  t.ok((await probe.sample()).eventLoop.maxMs < blocked.eventLoop.maxMs);
});

t.test('a state folder that is gone is null, not a crash', async (t) => {
  const probe = new HealthProbe('/nonexistent/state');
  const sample = await probe.sample();
  t.equal(sample.disk, null);
  t.same(sample.eventLoop, { p50Ms: 0, p99Ms: 0, maxMs: 0 }, 'not started');
});

t.test('throttling flags', async (t) => {
  t.same(parseThrottled('throttled=0x0\n'), { now: [], sinceBoot: [] });
  t.same(parseThrottled('throttled=0x50005\n'), {
    now: ['under-voltage', 'throttled'],
    sinceBoot: ['under-voltage', 'throttled'],
  });
  t.same(parseThrottled('a0000'), { now: [], sinceBoot: ['frequency capped', 'soft temperature limit'] });
  t.equal(parseThrottled('VCHI initialization failed'), null);
  fc.assert(fc.property(fc.string(), (text) => parseThrottled(text) === null || /[0-9a-f]/i.test(text)));
});

t.test('the hottest zone counts, absurd sensors do not', async (t) => {
  const zone = (temp: string) => ({ temp });
  const thermal = {
    thermal_zone0: zone('48312\n'),
    thermal_zone1: zone('61000\n'),
    thermal_zone2: zone('-274000\n'),
  };
  t.equal(
    await readTemperature(t.testdir({ sys: { class: { thermal: { ...thermal, cooling_device0: {} } } } })),
    61,
  );
  t.equal(await readTemperature(t.testdir({})), null);
});

t.test('a process table with a loop, a zombie and a torn entry', async (t) => {
  const status = (name: string, parent: number, rss?: number) => ({
    status: `Name:\t${name}\nPPid:\t${parent}\n${rss === undefined ? '' : `VmRSS:\t  ${rss} kB\n`}`,
  });
  const proc = {
    10: status('bitlane', 1, 100),
    11: status('detector', 10, 50),
    12: status('ffmpeg', 11),
    20: status('a', 21, 1),
    21: status('b', 20, 1),
    30: {},
    self: {},
  };
  t.same(await readProcesses(10, t.testdir({ proc })), [
    { pid: 10, name: 'bitlane', rssBytes: 102_400 },
    { pid: 11, name: 'detector', rssBytes: 51_200 },
    { pid: 12, name: 'ffmpeg', rssBytes: 0 },
  ]);
});
