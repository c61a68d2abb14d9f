import t from 'tap';
import { runBounded } from '../../src/system/index.js';

const node = process.execPath;

t.test('how a command ended is told, never thrown', async (t) => {
  const done = await runBounded(node, ['-e', 'console.log("a"); console.error("b"); process.exit(3)'], {
    deadlineMs: 60_000,
  });
  t.match(done, { outcome: 'exit', code: 3, signal: null, stdout: 'a\n', stderr: 'b\n' });
  t.match(await runBounded('/nonexistent/command', [], { deadlineMs: 60_000 }), { outcome: 'missing' });
  const killed = await runBounded(node, ['-e', 'process.kill(process.pid, "SIGSEGV")'], {
    deadlineMs: 60_000,
  });
  t.match(killed, { outcome: 'signal', signal: 'SIGSEGV' });
});

t.test('a deadline holds even when a grandchild keeps the output open', async (t) => {
  const code = `require('node:child_process').spawn(process.execPath, ['-e', 'setTimeout(() => {}, 20000)'],
    { stdio: 'inherit', detached: true }); setTimeout(() => {}, 20000); console.log('up')`;
  const result = await runBounded(node, ['-e', code], { deadlineMs: 1_500 });
  t.equal(result.outcome, 'timeout');
});

t.test('output is kept up to its cap, and the command still ends', async (t) => {
  const result = await runBounded(node, ['-e', 'process.stdout.write("x".repeat(3e6))'], {
    deadlineMs: 60_000,
    maxBytes: 1_000,
  });
  t.equal(result.outcome, 'exit');
  t.equal(result.stdout.length, 1_000);
});
