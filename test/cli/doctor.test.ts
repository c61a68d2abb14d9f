import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { runCheck } from '../../src/daemon/doctor/check.js';
import { judgeCameraList, judgeDisk, judgeUnit } from '../../src/daemon/doctor/device.js';
import { judgeCpu, judgeNode } from '../../src/daemon/doctor/platform.js';

const main = fileURLToPath(new URL('../../src/cli/main.js', import.meta.url));

interface Report {
  ok: boolean;
  checks: { name: string; status: string; detail: string; advice: string }[];
}

const doctor = async (...args: string[]): Promise<{ code: number | null; stdout: string }> => {
  const child = spawn(process.execPath, [main, 'doctor', ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  let stdout = '';
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, stdout };
};
const find = (report: Report, name: string) => report.checks.find((check) => check.name === name);

t.test('a device with a good configuration, and a broker that is away', async (t) => {
  // A port that was free a moment ago: nobody listens there.
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 1;
  server.close();
  await once(server, 'close');
  const folder = t.testdir({ pictures: { '1.jpg': 'x' } });
  writeFileSync(
    `${folder}/c.yaml`,
    `stateDir: ${folder}/state\ncamera: { kind: replay, path: ${folder}/pictures }\nmqtt: { url: 'mqtt://127.0.0.1:${port}' }\n`,
  );
  const { code, stdout } = await doctor('--config', `${folder}/c.yaml`, '--json');
  const report = JSON.parse(stdout) as Report;
  for (const name of ['configuration', 'node', 'onnxruntime', 'sqlite', 'jpeg', 'state-folder', 'camera']) {
    t.equal(find(report, name)?.status, 'ok', `${name}: ${find(report, name)?.detail}`);
  }
  const broker = find(report, 'broker');
  t.equal(broker?.status, 'fail');
  t.match(broker?.detail, 'ECONNREFUSED');
  t.not(broker?.advice, '');
  t.equal(report.ok, false);
  t.equal(code, 1);
  t.notOk(existsSync(`${folder}/state`), 'looking makes no folder');
});

t.test('a bad configuration fails, and what depends on it is skipped', async (t) => {
  const folder = t.testdir({ 'c.yaml': 'camera: { kind: telescope }\n' });
  const { code, stdout } = await doctor('--config', `${folder}/c.yaml`, '--json');
  const report = JSON.parse(stdout) as Report;
  t.equal(find(report, 'configuration')?.status, 'fail');
  t.match(find(report, 'configuration')?.detail, 'camera.kind');
  t.equal(find(report, 'camera')?.status, 'skip');
  t.equal(code, 1);
});

t.test('for people: a line for each check, advice below it, a summary', async (t) => {
  const { stdout } = await doctor('--config', '/nonexistent.yaml');
  t.match(stdout, /^fail {2}configuration +\/nonexistent\.yaml: .*\n +-> /m);
  t.match(stdout, /^[0-9]+ ok, [0-9]+ to look at, [0-9]+ failed, [0-9]+ skipped$/m);
});

t.test('a check that throws or hangs is a failed check', async (t) => {
  const thrown = await runCheck({
    name: 'a',
    deadlineMs: 60_000,
    run: () => {
      throw new Error('no such thing');
    },
  });
  t.match(thrown, { name: 'a', status: 'fail', detail: /no such thing/ });
  const hung = await runCheck({ name: 'b', deadlineMs: 20, run: () => new Promise(() => undefined) });
  t.match(hung, { name: 'b', status: 'fail', detail: /20 ms/ });
});

t.test('judgements', async (t) => {
  t.equal(judgeNode('20.18.3').status, 'fail');
  t.equal(judgeNode('20.19.0').status, 'ok');
  t.equal(judgeNode('22.1.0').status, 'ok');
  t.equal(judgeNode('18.20.4').status, 'fail');
  t.match(judgeCpu('Features\t: fp asimd asimddp\n', 'arm64'), { status: 'ok', detail: /dot product/ });
  t.equal(judgeCpu('Features\t: fp asimd\n', 'arm64').status, 'warn');
  t.equal(judgeCpu('flags\t\t: sse2 avx2 avx512_vnni\n', 'x64').status, 'ok');
  t.equal(judgeCpu('flags\t\t: sse2 avx2\n', 'x64').status, 'warn');
  t.equal(judgeCpu('', 'arm').status, 'fail');
  t.equal(judgeDisk(10 * 2 ** 20, 1e6, 1e6).status, 'fail');
  t.equal(judgeDisk(300 * 2 ** 20, 1e6, 1e6).status, 'warn');
  t.equal(judgeDisk(2 ** 33, 10, 1e6).status, 'fail');
  t.equal(judgeDisk(2 ** 33, 0, 0).status, 'ok', 'btrfs counts no files');
  const cameras =
    'Available cameras\n-----------------\n0 : imx708 [4608x2592 10-bit RGGB] (/base/soc/i2c0mux)\n';
  t.match(judgeCameraList(cameras, 0), { status: 'ok', detail: /imx708/ });
  t.match(judgeCameraList(cameras, 1), { status: 'fail', advice: /camera\.camera to 0/ });
  t.equal(judgeCameraList('No cameras available!\n', 0).status, 'fail');
  t.equal(judgeUnit('LoadState=not-found\nActiveState=inactive\n').status, 'skip');
  t.equal(judgeUnit('LoadState=loaded\nActiveState=active\nSubState=running\nNRestarts=0\n').status, 'ok');
  t.equal(judgeUnit('LoadState=loaded\nActiveState=active\nSubState=running\nNRestarts=4\n').status, 'warn');
  t.match(
    judgeUnit('LoadState=loaded\nActiveState=failed\nSubState=failed\nNRestarts=4\nResult=watchdog\n'),
    {
      status: 'fail',
      detail: /watchdog/,
    },
  );
});
