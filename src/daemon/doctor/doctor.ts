// What works on this device, and what to do about what does not.
import { tmpdir } from 'node:os';
import { type Config, loadConfig } from '../../config/index.js';
import { messageOf } from '../../errors.js';
import { type CheckResult, type CheckStatus, fail, ok, runCheck, skip } from './check.js';
import { deviceChecks, hostChecks } from './device.js';
import { nativeChecks } from './native.js';
import { platformChecks } from './platform.js';

export interface DoctorReport {
  /** False when a check failed. */
  readonly ok: boolean;
  readonly counts: Readonly<Record<CheckStatus, number>>;
  readonly checks: readonly CheckResult[];
}

const NEED_CONFIG = ['state-folder', 'disk', 'model', 'camera', 'broker'] as const;

/**
 * Runs every check, one after the other: a device that is slow to answer one is not asked two. Never rejects.
 *
 * @param configPath the configuration to judge; without it, or where it is bad, what depends on it is skipped
 * @param progress called with the number of checks done and the number of all
 */
export const runDoctor = async (
  configPath: string | undefined,
  progress: (done: number, total: number) => void = () => undefined,
): Promise<DoctorReport> => {
  let config: Config | undefined;
  const checks: CheckResult[] = [];
  if (configPath === undefined) {
    checks.push({ name: 'configuration', ...skip('none was named (--config FILE)') });
  } else {
    try {
      config = loadConfig(configPath).config;
      checks.push({ name: 'configuration', ...ok(`${configPath} is valid`) });
    } catch (error) {
      const finding = fail(messageOf(error), 'Correct it: docs/configuration.md lists every key.');
      checks.push({ name: 'configuration', ...finding });
    }
  }
  const todo = [
    ...platformChecks,
    ...nativeChecks(tmpdir()),
    ...hostChecks,
    ...(config === undefined ? [] : deviceChecks(config)),
  ];
  for (const [index, check] of todo.entries()) {
    progress(index, todo.length);
    checks.push(await runCheck(check));
  }
  progress(todo.length, todo.length);
  if (config === undefined) {
    checks.push(...NEED_CONFIG.map((name) => ({ name, ...skip('needs a valid configuration') })));
  }
  const counts = { ok: 0, warn: 0, fail: 0, skip: 0 };
  for (const check of checks) counts[check.status] += 1;
  return { ok: counts.fail === 0, counts, checks };
};
