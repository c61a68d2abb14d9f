// Checks of the device itself: Node, board, CPU, temperature, memory accounting.
import { readFile } from 'node:fs/promises';
import { cpus, release, totalmem } from 'node:os';
import { parseThrottled, readTemperature } from '../health.js';
import { runBounded } from '../../system/index.js';
import { type Check, fail, type Finding, ok, skip, warn } from './check.js';

const readText = async (path: string): Promise<string | undefined> => {
  try {
    return await readFile(path, 'utf8');
  } catch {
    return undefined;
  }
};

/** Whether a Node version (`20.19.0`) is one that bitlane runs on. */
export const judgeNode = (version: string): Finding => {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return major > 20 || (major === 20 && minor >= 19)
    ? ok(`Node ${version}`)
    : fail(
        `Node ${version} is older than 20.19`,
        'Install Node 20.19 or newer (docs/installing.md says how).',
      );
};

/** What the CPU has for 8-bit arithmetic, from the text of `/proc/cpuinfo`. */
export const judgeCpu = (cpuinfo: string, arch: string): Finding => {
  const flags = new Set((/^(?:flags|Features)\s*:\s*(.*)$/m.exec(cpuinfo)?.[1] ?? '').split(/\s+/));
  const has = (name: string): boolean => flags.has(name);
  if (arch === 'arm64') {
    const found = [has('asimddp') ? 'dot product' : '', has('i8mm') ? 'int8 matrix product' : ''].filter(
      Boolean,
    );
    return found.length > 0
      ? ok(`arm64 with ${found.join(' and ')}`)
      : warn('arm64 without dot-product instructions', 'Works; 8-bit models gain less here than on a Pi 5.');
  }
  if (arch === 'x64') {
    if (has('avx512_vnni') || has('avx_vnni')) return ok('x64 with VNNI');
    return has('avx2')
      ? warn('x64 with AVX2, without VNNI', 'Works; 8-bit weights can saturate here, 7-bit weights cannot.')
      : warn('x64 without AVX2', 'Works, slowly.');
  }
  return fail(`${arch} is not supported`, 'Use a 64-bit system: arm64 or x64.');
};

const system = async (): Promise<Finding> => {
  const board = (await readText('/proc/device-tree/model'))?.replace(/\0/g, '').trim();
  const os =
    /^PRETTY_NAME="?([^"\n]*)/m.exec((await readText('/etc/os-release')) ?? '')?.[1] ?? 'unknown system';
  const cores = cpus();
  const name = board ?? cores[0]?.model ?? 'unknown board';
  return ok(
    `${name}, ${os}, kernel ${release()}, ${cores.length} cores, ${Math.round(totalmem() / 2 ** 20)} MB`,
  );
};

const governor = async (): Promise<Finding> => {
  const value = (await readText('/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor'))?.trim();
  if (value === undefined) return skip('this device does not tell its CPU governor');
  return value === 'powersave'
    ? warn(
        'the CPU governor is powersave',
        'Set it to ondemand, schedutil or performance: powersave keeps the lowest clock.',
      )
    : ok(`the CPU governor is ${value}`);
};

const temperature = async (): Promise<Finding> => {
  const value = await readTemperature();
  if (value === null) return skip('this device has no temperature sensor that can be read');
  return value >= 80
    ? warn(
        `${value.toFixed(1)} degrees Celsius`,
        'The CPU slows down from 80 on: add a heat sink, a fan or shade.',
      )
    : ok(`${value.toFixed(1)} degrees Celsius`);
};

const throttling = async (): Promise<Finding> => {
  const result = await runBounded('vcgencmd', ['get_throttled'], { deadlineMs: 3_000 });
  if (result.outcome === 'missing') return skip('vcgencmd is not there (not a Raspberry Pi)');
  const flags = parseThrottled(result.stdout);
  if (result.outcome !== 'exit' || flags === null) {
    return warn('vcgencmd get_throttled gave no answer', 'Run it as a member of the group video.');
  }
  if (flags.now.length > 0) {
    return warn(
      `held back now: ${flags.now.join(', ')}`,
      'Use the official power supply and a short cable; cool the board.',
    );
  }
  return flags.sinceBoot.length > 0
    ? warn(`held back since boot: ${flags.sinceBoot.join(', ')}`, 'Watch the power supply and the cooling.')
    : ok('not held back since boot');
};

const memoryLimits = async (): Promise<Finding> => {
  const v2 = (await readText('/sys/fs/cgroup/cgroup.controllers'))?.split(/\s+/);
  if (v2 === undefined) return skip('this system does not use control groups version 2');
  return v2.includes('memory')
    ? ok('the kernel can limit memory')
    : warn(
        'the kernel does not count memory: the limits of the unit do nothing',
        'Add cgroup_enable=memory to /boot/firmware/cmdline.txt and reboot.',
      );
};

/** Checks that need no configuration. */
export const platformChecks: readonly Check[] = [
  { name: 'node', deadlineMs: 1_000, run: () => judgeNode(process.versions.node) },
  { name: 'system', deadlineMs: 3_000, run: system },
  {
    name: 'cpu',
    deadlineMs: 3_000,
    run: async () => judgeCpu((await readText('/proc/cpuinfo')) ?? '', process.arch),
  },
  { name: 'governor', deadlineMs: 3_000, run: governor },
  { name: 'temperature', deadlineMs: 3_000, run: temperature },
  { name: 'throttling', deadlineMs: 5_000, run: throttling },
  { name: 'memory-limits', deadlineMs: 3_000, run: memoryLimits },
];
