// What is removed for its age, and when the clock is not trusted with that: on a real store and real pictures.
import t from 'tap';
import { ExampleKeeper, SteadyClock } from '../../src/examples/index.js';
import { silentLog } from '../../src/system/index.js';
import { until } from '../helpers/mosquitto.js';
import { example, folderOf, jpegOf, MODEL, openLibrary, rules } from './parts.js';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

const clocks = () => {
  let [wallMs, monotonicMs] = [Date.now(), 5_000];
  const clock = new SteadyClock({ wall: () => wallMs, monotonic: () => monotonicMs });
  return {
    isSteady: () => clock.isSteady(),
    now: () => wallMs,
    pass: (ms: number, drift = 0): void => {
      wallMs += ms + drift;
      monotonicMs += ms;
    },
    set: (ms: number): void => void (wallMs += ms),
  };
};

t.test('a clock is steady after an hour without a leap', async (t) => {
  const { isSteady, pass, set } = clocks();
  t.equal(isSteady(), false, 'at the start');
  pass(HOUR_MS - 1);
  t.equal(isSteady(), false);
  pass(1);
  t.equal(isSteady(), true);
  for (let hour = 0; hour < 100; hour += 1) {
    pass(HOUR_MS, 2_000);
    t.equal(isSteady(), true, 'a clock that is steered is steady');
  }
  for (const leap of [40 * DAY_MS, -40 * DAY_MS]) {
    set(leap);
    t.equal(isSteady(), false, 'a leap is seen at once');
    pass(HOUR_MS / 2);
    t.equal(isSteady(), false);
    pass(HOUR_MS / 2);
    t.equal(isSteady(), true);
  }
});

t.test('a clock that leaps ahead removes no examples, labelled or not; the bytes stay capped', async (t) => {
  const state = folderOf(t);
  const { isSteady, now, pass, set } = clocks();
  const picture = jpegOf(64);
  const change = { maxMb: (4.5 * picture.length) / 1e6 };
  const { library } = await openLibrary(t, state, change, now, isSteady);
  const add = (count: number) =>
    library.add(Array.from({ length: count }, () => example({ takenMs: now(), jpeg: picture })));
  const [first] = await add(3);
  library.label(first?.id ?? '', { className: 'truck' });
  pass(2 * HOUR_MS);
  set(400 * DAY_MS);
  await library.prune();
  await add(1);
  t.equal(library.size.examples, 4, 'by pruning, and by adding');
  await library.sweep();
  t.equal(library.size.examples, 4, 'nor at a start');
  await add(3);
  t.equal(library.size.examples, 4, 'the bytes');
  await library.configure({ ...rules, ...change, maxMb: (2.5 * picture.length) / 1e6 });
  t.equal(library.size.examples, 2, 'and fewer of them');
  set(-400 * DAY_MS);
  await library.prune();
  t.equal(library.size.examples, 2);

  set(400 * DAY_MS);
  t.equal(isSteady(), false);
  pass(HOUR_MS);
  await library.prune();
  t.ok(
    library.list().every(({ takenMs }) => takenMs > now() - 30 * DAY_MS),
    'in the end it is believed',
  );
});

t.test('observations stay as well', async (t) => {
  for (const steady of [false, true]) {
    const { library, store } = await openLibrary(t, folderOf(t), {}, undefined, () => steady);
    const row = { source: 'track', predicted: 'car', presumed: 'car', weight: 1, model: MODEL, about: 'x' };
    store.observations.add([
      { ...row, seenMs: Date.now() - 3 * DAY_MS },
      { ...row, seenMs: Date.now() },
    ]);
    const keeper = new ExampleKeeper({
      library,
      store,
      rules: { examples: { ...rules, flushSeconds: 0.05 }, windowMs: DAY_MS },
      masks: () => [],
      log: silentLog,
      run: 'boot',
    });
    let pruned = 0;
    const prune = library.prune.bind(library);
    library.prune = async () => {
      await prune();
      pruned += 1;
    };
    keeper.start();
    await until(() => pruned > 0, 'it was pruned');
    await keeper.stop();
    t.equal(store.observations.since(0).length, steady ? 1 : 2);
  }
});
