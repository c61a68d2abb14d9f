// The inference library reports nothing to anybody: no database, no log, no device id of its own is left anywhere.
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import t from 'tap';
import { tinyDetector } from '../helpers/tinyModel.js';

const folder = mkdtempSync(join(tmpdir(), 'bitlane-telemetry-'));
t.teardown(() => rmSync(folder, { recursive: true, force: true }));

t.test('a process that runs a model leaves no trace of the library', (t) => {
  const model = join(folder, 'tiny.onnx');
  writeFileSync(model, tinyDetector({ head: 'yolov8', classes: ['car'], size: 64, anchors: 12 }).bytes);
  const home = join(folder, 'home');
  mkdirSync(home);
  const runtime = new URL('../../src/runtime/index.js', import.meta.url).href;
  const script = join(folder, 'run.mjs');
  writeFileSync(
    script,
    `import { floatTensor, withSession } from ${JSON.stringify(runtime)};
     await withSession(${JSON.stringify(model)}, {}, (session) => session.run({ images: floatTensor([1, 3, 64, 64]) }));
     process.stdout.write('ran');`,
  );
  const { ORT_DISABLE_TELEMETRY: _unset, ...env } = process.env;
  const { status, stdout, stderr } = spawnSync(process.execPath, [pathToFileURL(script).pathname], {
    env: { ...env, HOME: home, TMPDIR: home, XDG_CACHE_HOME: join(home, 'cache'), CI: '', NODE_OPTIONS: '' },
    encoding: 'utf8',
    timeout: 60_000,
  });
  t.equal(status, 0, stderr);
  t.equal(stdout, 'ran');
  t.same(readdirSync(home), [], 'nothing was written to the home, cache or temporary folder');
  t.end();
});
