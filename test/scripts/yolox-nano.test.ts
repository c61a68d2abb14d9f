// Fetching a file from a real server that delivers what it should, something else, too little, too much or nothing.
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, type RequestListener } from 'node:http';
import { dirname, join } from 'node:path';
import t, { type Test } from 'tap';
import { fetchFile, type Source } from '../../scripts/yolox-nano.js';

const WANTED = Buffer.from('x'.repeat(100_000));

/** A server for one test; the source says what it should deliver. */
const serve = async (t: Test, answer: RequestListener): Promise<Source & { asked: () => number }> => {
  let asked = 0;
  const server = createServer((request, response) => {
    asked += 1;
    answer(request, response);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return {
    url: `http://127.0.0.1:${address.port}/model.onnx`,
    sha256: createHash('sha256').update(WANTED).digest('hex'),
    bytes: WANTED.length,
    asked: () => asked,
  };
};
const targetOf = (t: Test): string => join(t.testdir(), 'downloads', 'model.onnx');
const left = (target: string): readonly string[] =>
  existsSync(dirname(target)) ? readdirSync(dirname(target)) : [];

t.test('what is right is put in place, once', async (t) => {
  const source = await serve(t, (_request, response) => response.end(WANTED));
  const target = targetOf(t);
  const seen: number[] = [];
  await fetchFile(source, target, (bytes) => seen.push(bytes));
  t.ok(readFileSync(target).equals(WANTED));
  t.same(left(target), ['model.onnx']);
  t.equal(seen.at(-1), WANTED.length);
  t.same(
    seen,
    seen.toSorted((a, b) => a - b),
  );
  await fetchFile(source, target);
  t.equal(source.asked(), 1, 'a file that is there and whole is kept');
  writeFileSync(target, 'torn');
  await fetchFile(source, target);
  t.ok(readFileSync(target).equals(WANTED), 'one that is not is fetched again');
});

for (const [what, body] of [
  ['other bytes', Buffer.from('y'.repeat(WANTED.length))],
  ['a short body', WANTED.subarray(0, 60_000)],
  ['a long body', Buffer.concat([WANTED, WANTED])],
  ['an empty body', Buffer.alloc(0)],
] as const) {
  t.test(`${what} is refused, and nothing of it stays`, async (t) => {
    // Without a length: the end of the connection looks like the end of the file.
    const source = await serve(t, (_request, response) => {
      response.shouldKeepAlive = false;
      response.removeHeader('transfer-encoding');
      response.useChunkedEncodingByDefault = false;
      response.write(body);
      response.end();
    });
    const target = targetOf(t);
    await t.rejects(fetchFile(source, target), {
      code: 'BAD_MODEL',
      message: /delivered [0-9]+ bytes with SHA-256 [0-9a-f]{12}\.\.\., not the 100000 bytes/,
    });
    t.same(left(target), []);
  });
}

t.test('what is there already survives a bad answer', async (t) => {
  const source = await serve(t, (_request, response) => response.end('y'));
  const target = join(t.testdir({ 'model.onnx': 'older' }), 'model.onnx');
  await t.rejects(fetchFile(source, target), { code: 'BAD_MODEL' });
  t.equal(readFileSync(target, 'utf8'), 'older');
});

t.test('a connection that breaks, a refusal, and nobody there', async (t) => {
  const target = targetOf(t);
  const broken = await serve(t, (_request, response) => {
    response.writeHead(200, { 'content-length': WANTED.length });
    response.write(WANTED.subarray(0, 60_000), () => response.destroy());
  });
  const refused = await serve(t, (_request, response) => response.writeHead(404).end());
  const away = { ...broken, url: 'http://127.0.0.1:1/model.onnx' };
  for (const [source, why] of [
    [broken, /cannot be fetched \(.+\): check the network, or put the file there yourself$/],
    [refused, /\(HTTP status 404\)/],
    [away, /cannot be fetched \(/],
  ] as const) {
    await t.rejects(fetchFile(source, target), { code: 'UNREACHABLE', message: why });
    t.same(left(target), []);
  }
});
