import t from 'tap';
import { RootLog } from '../../src/system/index.js';
import { Undo } from '../../src/daemon/undo.js';

t.test('what was started is stopped latest first, each once, whatever fails', async (t) => {
  const lines: string[] = [];
  const log = new RootLog({ level: 'debug', write: (line) => void lines.push(line) }).part('test');
  const undo = new Undo();
  const done: string[] = [];
  undo.add('first', () => void done.push('first'));
  undo.add('second', () => Promise.reject(new Error('no')));
  undo.add('third', async () => {
    await new Promise((resolve) => setImmediate(resolve));
    done.push('third');
  });
  await undo.run(log);
  await undo.run(log);
  t.same(done, ['third', 'first']);
  t.equal(lines.length, 1);
  t.match(lines[0], /stopping the second failed: no/);
});
