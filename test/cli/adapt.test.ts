// `bitlane adapt` from the command line: one artifact within its budget, one page, one document; what cannot be done is said.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { readArtifactFolder } from '../../src/registry/index.js';
import { makeFixture } from '../significance/fixture.js';
import { runMany } from './lines.js';

const folder = t.testdir();
const { home, data, id } = await makeFixture(folder);

interface Document {
  readonly id: string;
  readonly parentId: string;
  readonly bytes: number;
  readonly averageBits: number;
  readonly notes: readonly string[];
  readonly interactions: readonly unknown[];
  readonly validation: {
    readonly pictures: number;
    readonly before: { readonly map50: number; readonly criticalObjects: number };
    readonly map50Change: { readonly value: number; readonly low: number; readonly high: number };
  };
}

t.test('an artifact within its budget, with a page that shows how', async (t) => {
  const [out, page] = [join(folder, 'adapted'), join(folder, 'page.html')];
  const base = ['adapt', '--model', home, '--data', data, '--cache', join(folder, 'cache')];
  const small = [...base, '--calibration', '4', '--pairs', 'bus:car,car:truck', '--bits-average', '4'];
  const [made, again, paired, tight, ...bad] = await runMany(folder, [
    [...small, '--out', out, '--report', page, '--json'],
    [...small, '--out', join(folder, 'again')],
    [...small, '--pairs-among', '3', '--out', join(folder, 'pairs'), '--json'],
    [
      ...base,
      '--pairs',
      'bus:car',
      '--calibration',
      '4',
      '--budget-bytes',
      '100',
      '--out',
      join(folder, 'tight'),
      '--json',
    ],
    [...base, '--out', join(folder, 'x'), '--json'],
    [...small, '--out', out, '--json'],
    [...small, '--objective', 'best', '--out', join(folder, 'x'), '--json'],
    [...base, '--budget-latency', '5', '--out', join(folder, 'x'), '--json'],
    [...small, '--pairs', 'bus:plane', '--out', join(folder, 'x'), '--json'],
  ]);
  t.equal(made?.code, 0, made?.stderr ?? '');
  const document = JSON.parse(made?.stdout ?? '') as Document;
  const artifact = await readArtifactFolder(out);
  t.equal(artifact.id, document.id);
  t.equal(document.parentId, id);
  t.ok(document.averageBits <= 4.0001, `${document.averageBits} bits`);
  t.equal(document.validation.pictures, 6);
  t.ok(document.validation.before.criticalObjects > 0);
  const { value, low, high } = document.validation.map50Change;
  t.ok(low <= value && value <= high);
  t.match(document.notes.join(), /says too much good/, 'here it is judged on what it was tuned on');
  const { significance, allocation, validation, parentId } = artifact.manifest;
  t.equal(parentId, id);
  t.same(significance?.pairs, [
    ['bus', 'car'],
    ['car', 'truck'],
  ]);
  t.same(Object.keys(significance?.divergence ?? {}), Object.keys(allocation?.components ?? {}));
  t.equal(validation?.length, 1);
  const html = readFileSync(page, 'utf8');
  t.equal((html.match(/<svg/g) ?? []).length, 5, 'two matrices, a map, an allocation, a front');
  t.notMatch(html, /<script|src=|href=/, 'nothing is fetched, nothing runs');
  t.equal(again?.code, 0, again?.stderr ?? '');
  t.match(again?.stdout, /critical accuracy/);
  t.equal((await readArtifactFolder(join(folder, 'again'))).id, artifact.id, 'the same again');
  t.equal(paired?.code, 0, paired?.stderr ?? '');
  t.ok((JSON.parse(paired?.stdout ?? '') as Document).interactions.length > 0, 'pairs were measured');
  t.equal(tight?.code, 2);
  t.match(JSON.parse(tight?.stdout ?? ''), { error: { message: /modelBytes|bytes/ } });
  t.same(
    bad.map(({ code }) => code),
    [2, 2, 2, 2, 2],
  );
  for (const { stdout, stderr } of bad) {
    t.match(JSON.parse(stdout), { error: { code: 'BAD_USAGE', message: String } });
    t.equal(stderr.trim().split('\n').length, 1, stderr);
  }
  for (const name of ['tight', 'x']) t.equal(existsSync(join(folder, name)), false);
});
