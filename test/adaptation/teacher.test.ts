// Judging by the word of the FP32 model, with real models: which way a change is counted.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { teacherAgreement } from '../../src/adaptation/teacher.js';
import { Registry } from '../../src/registry/index.js';
import { encodeJpeg } from '../../src/vision/index.js';
import { tinyAt } from '../helpers/daemon.js';

const SIDE = 64;

t.test('a candidate that says what the teacher says is a gain over one that does not', async (t) => {
  const stateDir = t.testdir();
  const registry = new Registry({ stateDir });
  await registry.start();
  t.teardown(() => registry.stop());
  const data = new Uint8Array(3 * SIDE * SIDE).fill(90);
  const frames = [1, 2, 3, 4].map((index) => join(stateDir, `${index}.jpg`));
  for (const path of frames) {
    writeFileSync(path, encodeJpeg({ format: 'rgb24', width: SIDE, height: SIDE, data }, 80));
  }
  const [teacher, same, elsewhere] = await Promise.all(
    [tinyAt(8), tinyAt(9), tinyAt(40)].map(({ bytes, manifest }) => registry.install(bytes, manifest)),
  );
  if (teacher === undefined || same === undefined || elsewhere === undefined) throw new Error('no models');
  const gained = await teacherAgreement(teacher, elsewhere, same, { frames });
  const gain = { before: 0, after: 1, change: { value: 1, low: 1, high: 1 } };
  t.match(gained, { frames: 4, objects: 4, ...gain, naming: gain });
  const lost = await teacherAgreement(teacher, same, elsewhere, { frames });
  const loss = { before: 1, after: 0, change: { value: -1, low: -1, high: -1 } };
  t.match(lost, { ...loss, naming: loss });
});
