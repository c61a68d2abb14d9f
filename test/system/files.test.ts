import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { writeFileAtomic } from '../../src/system/index.js';
import { killNow, readLines } from '../helpers/lines.js';

const moduleUrl = new URL('../../src/system/files.js', import.meta.url).href;
/** Writes versions of a file for ever: a line of JSON with its number and, behind it, the hash of a long body. */
const WRITER = `
  import { createHash } from 'node:crypto';
  import { writeSync } from 'node:fs';
  const { writeFileAtomic } = await import(process.argv[1]);
  for (let n = Number(process.argv[3]); ; n += 1) {
    const body = String(n).padStart(12, '.').repeat(20000);
    writeFileAtomic(process.argv[2], createHash('sha256').update(body).digest('hex') + body);
    writeSync(1, n + '\\n');
  }`;

t.setTimeout(300_000);

t.test('a writer that is killed leaves the old bytes or the new, never a mixture', async (t) => {
  const path = join(t.testdir({}), 'file');
  let number = 0;
  let torn = 0;
  for (let kill = 0; kill < 60; kill += 1) {
    const child = spawn(
      process.execPath,
      ['--input-type=module', '-e', WRITER, moduleUrl, path, String(number + 1)],
      {
        stdio: ['ignore', 'pipe', 'inherit'],
      },
    );
    const reader = readLines(child);
    await reader.find(() => true);
    await sleep(Math.random() * 20);
    await killNow(child, reader);
    t.equal(child.signalCode, 'SIGKILL');
    const said = Number(reader.lines.at(-1));
    const text = readFileSync(path, 'utf8');
    const [hash, body] = [text.slice(0, 64), text.slice(64)];
    t.equal(createHash('sha256').update(body).digest('hex'), hash, `kill ${kill}`);
    number = Number(body.slice(0, 12).replace(/\./g, ''));
    t.ok(number === said || number === said + 1, `${number} is ${said} or the one after it`);
    torn += readdirSync(join(path, '..')).length - 1;
  }
  t.ok(torn > 0, 'some kills fell into the middle of a write');
});

t.test('mode, contents, and no litter where it fails', async (t) => {
  const folder = t.testdir({});
  writeFileAtomic(join(folder, 'a'), 'grüße');
  writeFileAtomic(join(folder, 'b'), Uint8Array.of(1, 2), 0o600);
  t.equal(readFileSync(join(folder, 'a'), 'utf8'), 'grüße');
  t.same([...readFileSync(join(folder, 'b'))], [1, 2]);
  t.equal(statSync(join(folder, 'a')).mode & 0o777, 0o640);
  t.equal(statSync(join(folder, 'b')).mode & 0o777, 0o600);
  mkdirSync(join(folder, 'full', 'x'), { recursive: true });
  t.throws(() => writeFileAtomic(join(folder, 'full'), 'x'), 'a folder is not replaced');
  t.throws(() => writeFileAtomic(join(folder, 'absent', 'x'), 'x'), { code: 'ENOENT' });
  writeFileSync(join(folder, 'c'), 'old');
  writeFileAtomic(join(folder, 'c'), '');
  t.equal(readFileSync(join(folder, 'c'), 'utf8'), '');
  t.same(readdirSync(folder).sort(), ['a', 'b', 'c', 'full']);
});
