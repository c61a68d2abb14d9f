// Installed models from the command line: verified by name, imported twice, looked for where none are.
import { appendFileSync, cpSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { tinyDetector } from '../helpers/tinyModel.js';
import { importBare, json, type Printed, run, runMany } from './lines.js';

t.setTimeout(240_000);

const BOXES = [{ x1: 8, y1: 8, x2: 24, y2: 24, classId: 0, score: 0.9 }];

const folder = t.testdir({ 'names.txt': 'car\ntruck\n' });
const file = join(folder, 'tiny.onnx');
writeFileSync(file, tinyDetector({ head: 'yolox', classes: ['car', 'truck'], boxes: BOXES }).bytes);

t.test('verifies any number of models, by id, name or path; all of them when none is named', async (t) => {
  const state = join(folder, 'several');
  const other = join(folder, 'other.onnx');
  writeFileSync(other, tinyDetector({ head: 'yolox', classes: ['car', 'van', 'bus'], boxes: BOXES }).bytes);
  const [first, second] = await runMany(folder, [
    ['models', 'import', file, '--head', 'yolox', '--names', 'car,truck', '--state', state, '--json'],
    ['models', 'import', other, '--head', 'yolox', '--names', 'car,van,bus', '--state', state, '--json'],
  ]);
  if (!first || !second) throw new Error('two results');
  t.same([first.code, second.code], [0, 0], `${first.stderr}${second.stderr}`);
  const ids = [first, second].map(({ stdout }) => String(json(stdout)['id']));
  t.not(ids[0], ids[1]);
  const verify = (...rest: string[]): string[] => ['models', 'verify', ...rest, '--state', state];
  const [all, named, text, none] = await runMany(folder, [
    verify('--json'),
    verify('other', ids[0]?.slice(0, 8) ?? '', join(state, 'models', ids[0] ?? ''), '--json'),
    verify(),
    ['models', 'verify', '--state', join(folder, 'nowhere'), '--json'],
  ]);
  const verified = (printed: Printed | undefined): unknown[] =>
    json(printed?.stdout ?? '')['models'] as unknown[];
  t.equal(all?.code, 0, all?.stderr ?? '');
  t.same(
    verified(all)
      .map((entry) => (entry as { id: string }).id)
      .sort(),
    ids.toSorted(),
  );
  t.match(verified(named), [
    { ok: true, name: 'other', id: ids[1] },
    { name: 'tiny', id: ids[0] },
    { id: ids[0] },
  ]);
  t.match(text?.stdout, /\n2 of 2 models are whole and run\.\n$/);
  t.match([none?.code, json(none?.stdout ?? '')], [0, { ok: true, models: [] }]);

  // One that is broken does not hide the others.
  writeFileSync(join(state, 'models', ids[0] ?? '', 'model.onnx'), 'broken');
  const [broken, told, single] = await runMany(folder, [
    verify('--json'),
    verify('other', 'tiny', 'nobody'),
    verify('tiny', '--json'),
  ]);
  t.equal(broken?.code, 2);
  t.match(json(broken?.stdout ?? ''), { ok: false, models: { length: 2 } });
  t.same(
    verified(broken)
      .map((entry) => (entry as { ok: boolean }).ok)
      .sort(),
    [false, true],
  );
  t.equal(told?.code, 2);
  t.match(told?.stdout, /^other .* is whole and runs: [^\n]*\n1 of 3 models are whole and run\.\n$/);
  t.match(
    told?.stderr,
    /^bitlane: [^\n]*model\.onnx[^\n]*\nbitlane: no installed model is called "nobody"[^\n]*\n$/,
  );
  t.match(
    [single?.code, json(single?.stdout ?? '')],
    [2, { ok: false, models: [{ model: 'tiny', error: { code: 'BAD_MODEL' } }] }],
  );
});

t.test('the same bytes under another name are the model that is installed', async (t) => {
  const state = join(folder, 'names');
  const renamed = join(folder, 'renamed.onnx');
  writeFileSync(renamed, readFileSync(file));
  const bare = (path: string, ...rest: string[]): string[] => importBare(path, '--state', state, ...rest);
  const [first, again, other, text, document, listed] = await runMany(folder, [
    bare(file, '--name', 'mine', '--json'),
    bare(file, '--name', 'mine'),
    bare(file, '--name', 'yours'),
    bare(renamed),
    bare(renamed, '--json'),
    ['models', 'list', '--state', state, '--json'],
  ]);
  t.equal(first?.code, 0, first?.stderr ?? '');
  t.equal(again?.code, 0, again?.stderr ?? '');
  t.notMatch(again?.stdout, /already/);
  t.equal(other?.code, 2);
  t.match(
    other?.stderr,
    /^bitlane: this model is installed already, as mine \([0-9a-f]{12}\), and a model has one name: [^\n]+\n$/,
  );
  t.equal(text?.code, 0, text?.stderr ?? '');
  t.match(
    text?.stdout,
    /^mine is artifact .*\n {2}It was installed already and keeps that name: mine, not renamed\.\n/,
  );
  t.match([document?.code, json(document?.stdout ?? '')], [0, { name: 'mine', manifest: { name: 'mine' } }]);
  t.match(json(listed?.stdout ?? ''), { models: { length: 1, 0: { name: 'mine' } } });
});

t.test('an artifact folder is installed as it is', async (t) => {
  const state = join(folder, 'whole');
  const [made, broken] = [join(folder, 'made'), join(folder, 'broken')];
  const into = ['--state', state, '--json'];
  await run(...importBare(file, '--name', 'made', '--out', made));
  cpSync(made, broken, { recursive: true });
  appendFileSync(join(broken, 'model.onnx'), 'x');
  const [installed, listed, text, hinted, changed, nothing, bare] = await runMany(folder, [
    ['models', 'import', made, ...into],
    ['models', 'list', ...into],
    ['models', 'import', made, '--state', state],
    ['models', 'import', made, '--cell-offset', '0', ...into],
    ['models', 'import', broken, ...into],
    ['models', 'import', state, ...into],
    ['models', 'import', file, '--head', 'yolox', ...into],
  ]);
  const manifest: unknown = JSON.parse(readFileSync(join(made, 'manifest.json'), 'utf8'));
  t.equal(installed?.code, 0, installed?.stderr ?? '');
  t.match(json(installed?.stdout ?? ''), { name: 'made', active: true });
  t.same((json(installed?.stdout ?? '') as { manifest: unknown }).manifest, manifest);
  t.match(json(listed?.stdout ?? ''), { models: { length: 1, 0: { name: 'made' } } });
  t.match(text?.stdout, /^made is artifact .*, and active\n/);
  t.notMatch(text?.stdout, /training pipeline/);
  t.same(
    [hinted, changed, nothing, bare].map((printed) => printed?.code),
    [2, 2, 2, 2],
  );
  t.match(hinted?.stderr, /--cell-offset is for a bare ONNX file: .*made is an artifact/);
  t.match(changed?.stderr, /^bitlane: [^\n]*model\.onnx[^\n]*\n$/);
  t.match(nothing?.stderr, /^bitlane: [^\n]*manifest\.json[^\n]*\n$/);
  t.match(bare?.stderr, /a bare ONNX file needs --head and --names/);
});

t.test('looking makes no folder, nor does changing what is not there', async (t) => {
  const state = join(folder, 'absent', 'state');
  const at = ['--state', state];
  const printed = await runMany(folder, [
    ['models', 'list', ...at],
    ['models', 'verify', ...at],
    ['models', 'verify', 'abcdef123456', ...at],
    ['eval', '--model', 'abcdef123456', '--data', folder, ...at],
    ['models', 'use', 'abcdef123456', ...at],
    ['models', 'rollback', ...at],
    ['models', 'remove', 'abcdef123456', ...at],
    ['models', 'import', join(folder, 'names.txt'), '--head', 'yolox', '--names', 'car', ...at],
  ]);
  t.same(
    printed.map(({ code }) => code),
    [0, 0, 2, 2, 2, 2, 2, 2],
  );
  for (const { code, stderr } of printed) if (code !== 0) t.match(stderr, /^bitlane: [^\n]+\n$/);
  t.notOk(existsSync(join(folder, 'absent')));
});
