// A real small profile, its file, what it says of allocations, and where it is refused.
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import {
  latencyOf,
  parseProfile,
  type Profile,
  profileDevice,
  profileModel,
  readProfile,
  temperature,
  writeProfile,
} from '../../src/allocation/index.js';
import { inTurns } from '../../src/allocation/index.js';
import { componentsOf, prepareModel, uniformAllocation } from '../../src/quantization/index.js';
import { focusNet } from './nets.js';

const ID = 'ab'.repeat(32);
const folder = mkdtempSync(join(tmpdir(), 'bitlane-profile-'));
t.teardown(() => rmSync(folder, { recursive: true, force: true }));

const net = focusNet();
let seconds = 0;
const served: number[] = [];
const { profile, variants, best } = await profileModel(net.model, () => [net.feed], {
  model: { id: ID, name: 'tiny' },
  threads: 1,
  seconds: 60,
  plans: 9,
  onProgress: (gone) => {
    seconds = Math.max(seconds, gone);
  },
  memoryOf: (model) => {
    served.push(model.length);
    return Promise.resolve(served.length);
  },
});
const use = { modelId: ID, threads: 1, device: await profileDevice() };

t.test('a profile says what was measured, and on what', async (t) => {
  t.equal(profile.model.id, ID);
  t.same(profile.device, use.device);
  t.ok(seconds > 0, 'it reported progress');
  t.equal(profile.regions.length, variants.regions.length);
  t.same(profile.memoryMb, { fp32: 1, int8: 2, plan: 3 });
  t.ok(profile.samples.length >= 9 && profile.prediction.plans >= 1);
  for (const { plan, times, fp32, int8 } of profile.samples) {
    t.equal(plan.length, variants.regions.length);
    t.ok(times.length >= 11 && fp32.length === times.length && int8.length === times.length);
  }
});

t.test('the plan is one for this model, and never behind the uniform ones', async (t) => {
  t.same(profile.plan.allocation, variants.allocation(best));
  t.ok(profile.plan.latencyRatio <= 1);
  t.ok(profile.plan.latencyRatio > 0);
  t.same(
    profile.regions.map(({ execution }) => execution),
    [...best],
  );
});

t.test('a file is read as it was written, and says what allocations take', async (t) => {
  const path = join(folder, 'profile.json');
  writeProfile(path, profile);
  t.same(readdirSync(folder), ['profile.json'], 'nothing is left beside it');
  const read = readProfile(path, use);
  t.same(read, profile);
  const latency = latencyOf(read, net.model);
  const components = componentsOf(prepareModel(net.model));
  for (const execution of ['fp32', 'int8'] as const) {
    const bits = execution === 'int8' ? 8 : 32;
    const { ratio, milliseconds } = latency(uniformAllocation(components, bits, execution));
    t.ok(Number.isFinite(ratio));
    t.ok(Math.abs(milliseconds - ratio * profile.uniform.fp32Ms) < 1e-9);
  }
  const packed = uniformAllocation(components, 4, 'int8');
  t.same(latency(packed), latency(uniformAllocation(components, 8, 'int8')), 'stored bits cost no time');
});

t.test('what was measured elsewhere, or for something else, is refused with a sentence', async (t) => {
  const path = join(folder, 'other.json');
  const changed = (change: (profile: Profile) => Profile): string => {
    writeFileSync(path, JSON.stringify(change(structuredClone(profile))));
    return path;
  };
  const refused = (change: (profile: Profile) => Profile, message: RegExp): void => {
    t.throws(() => readProfile(changed(change), use), { code: 'BAD_CONFIG', message });
  };
  const device = (part: Partial<Profile['device']>) => (p: Profile) => ({
    ...p,
    device: { ...p.device, ...part },
  });
  refused(device({ cpu: 'Cortex-A76' }), /another device \(processor Cortex-A76, here/);
  refused(device({ cores: 999 }), /another device \(number of cores 999/);
  refused(device({ onnxruntime: '0.1' }), /onnxruntime 0\.1/);
  refused(
    (p) => ({ ...p, model: { ...p.model, id: 'cd'.repeat(32) } }),
    /another model \(tiny, cdcdcdcdcdcd/,
  );
  refused((p) => ({ ...p, threads: 2 }), /measured with 2 threads, not 1/);
  refused((p) => ({ ...p, version: 2 }) as unknown as Profile, /is no profile: version/);
  t.throws(() => readProfile(join(folder, 'absent.json'), use), {
    code: 'BAD_CONFIG',
    message: /cannot be read/,
  });
  const text = readFileSync(path, 'utf8');
  t.throws(() => parseProfile(text.slice(0, 100), 'it'), { code: 'BAD_CONFIG', message: /it is not JSON/ });
});

t.test('it can be called off, and says when the time is too short', async (t) => {
  const abort = new AbortController();
  abort.abort(new Error('called off'));
  const options = { model: { id: ID, name: 'tiny' }, threads: 1 };
  await t.rejects(
    profileModel(net.model, () => [net.feed], { ...options, seconds: 5, signal: abort.signal }),
    { message: 'called off' },
  );
  await t.rejects(
    profileModel(net.model, () => [net.feed], { ...options, seconds: 0.001 }),
    { code: 'BAD_USAGE', message: /too short/ },
  );
});

t.test('turns are fair, and end when told to', async (t) => {
  const order: number[] = [];
  const contender = (number: number) => ({
    round: () => {
      order.push(number);
      return Promise.resolve(1);
    },
    release: () => Promise.resolve(),
  });
  const samples = await inTurns([contender(0), contender(1)], { least: 7, most: 20 });
  t.same(
    samples.map((column) => column.length),
    [7, 7],
    'equal times are stable at once',
  );
  t.same(
    order,
    Array.from({ length: 14 }, (_, i) => i % 2),
  );
});

t.test('a device without a thermometer has no temperature', async (t) => {
  t.equal(temperature(join(folder, 'absent')), null);
  const zones = mkdtempSync(join(folder, 'thermal-'));
  t.equal(temperature(zones), null);
});
