// What the first run refuses, by its command lines, and what it finds missing in a story.
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { Listener } from '../../scripts/demo/listener.js';
import { freePort } from '../../scripts/demo/place.js';
import { missing, type Story } from '../../scripts/demo/story.js';
import { runBounded } from '../../src/system/index.js';

const script = (name: string): string => fileURLToPath(new URL(`../../scripts/${name}.js`, import.meta.url));
const run = (name: string, ...args: string[]) =>
  runBounded(process.execPath, [script(name), ...args], { deadlineMs: 60_000 });

t.test('a folder with anything else in it stays as it is', async (t) => {
  const folder = t.testdir({ letters: { 'a.txt': 'dear' } });
  for (const [name, state] of [
    ['demo', join(folder, 'letters')],
    ['demo', join(folder, 'letters', 'a.txt')],
  ] as const) {
    const { code, stderr } = await run(name, '--state', state);
    t.equal(code, 2);
    t.match(stderr, /holds something else than a demo|is no folder/);
  }
  const demo = join(folder, 'own', 'demo');
  mkdirSync(demo, { recursive: true });
  writeFileSync(join(demo, 'b.txt'), 'sir');
  const port = await freePort();
  const { code, stderr } = await run('start', '--state', join(folder, 'own'), '--port', String(port));
  t.equal(code, 2);
  t.match(stderr, /holds something else than a demo/);
  t.same(readdirSync(demo), ['b.txt']);
  t.same(readdirSync(join(folder, 'letters')), ['a.txt']);
});

t.test('options that mean nothing are refused in a sentence', async (t) => {
  const taken = createServer().listen(0, '127.0.0.1');
  await new Promise((done) => taken.once('listening', done));
  t.teardown(() => taken.close());
  const address = taken.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  for (const [args, message] of [
    [['demo', '--watch', '0'], /--watch takes 1 to 3600 seconds/],
    [['start', '--mqtt', 'foo'], /--mqtt foo: /],
    [['start', '--mqtt', 'mqtt://127.0.0.1', '--port', '1884'], /not both/],
    [['start', '--port', 'many'], /--port takes a number/],
    [['start', '--port', String(port)], /is taken/],
    [['start', '--port', '0', '/nowhere/at/all'], /--port takes a number/],
  ] as const) {
    const [name, ...rest] = args;
    const { code, stderr } = await run(name, ...rest);
    t.equal(code, 2, args.join(' '));
    t.match(stderr, message);
  }
});

const story: Story = {
  firstDetectionS: 16,
  tracks: 90,
  counted: 40,
  examples: 12,
  confused: ['sedan:wagon'],
  outcome: 'committed',
  reason: '',
  swapS: 400,
  modelBytes: [100, 16],
  frames: { received: 10, detected: 9, skipped: 1, lost: 0 },
  report: 'page.html',
};

t.test('a story says what it lacks', (t) => {
  t.same(missing(story), []);
  t.equal(missing({ ...story, firstDetectionS: 31, counted: 0, examples: 0, confused: [] }).length, 4);
  t.match(missing({ ...story, outcome: 'rejected', reason: 'it finds less' }), [/rejected: it finds less/]);
  t.match(missing({ ...story, swapS: null }), [/no swap/]);
  t.match(missing({ ...story, frames: { ...story.frames, lost: 1 } }), [/1 frames were lost/]);
  t.end();
});

t.test('a frame on its way is not lost, one that is never told of is', (t) => {
  const listener = new Listener('demo');
  const seen = (received: number, detected: number) =>
    listener.see({ received, detected, skipped: 0, bad: 0 });
  t.equal(listener.lost, 0);
  seen(10, 8);
  seen(40, 40);
  t.equal(listener.lost, 0, 'it came through');
  for (const received of [50, 80, 110, 140, 170]) seen(received, received - 1 - (received === 80 ? 1 : 0));
  t.equal(listener.lost, 1);
  t.end();
});
