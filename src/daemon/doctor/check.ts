// What a check is, and how one is run: never past its deadline, never a crash.
import { messageOf } from '../../errors.js';

/** `warn`: works, but not as it should; `skip`: does not apply here. */
export type CheckStatus = 'ok' | 'warn' | 'fail' | 'skip';

export interface CheckResult {
  readonly name: string;
  readonly status: CheckStatus;
  /** What was found, in one sentence. */
  readonly detail: string;
  /** What to do about it; empty where there is nothing to do. */
  readonly advice: string;
}

/** What a check found; its name is added by {@link runCheck}. */
export type Finding = Omit<CheckResult, 'name'>;

export interface Check {
  readonly name: string;
  readonly deadlineMs: number;
  run(): Promise<Finding> | Finding;
}

export const ok = (detail: string): Finding => ({ status: 'ok', detail, advice: '' });
export const warn = (detail: string, advice: string): Finding => ({ status: 'warn', detail, advice });
export const fail = (detail: string, advice: string): Finding => ({ status: 'fail', detail, advice });
export const skip = (detail: string): Finding => ({ status: 'skip', detail, advice: '' });

/** Runs one check; an exception or a passed deadline is a `fail`. */
export const runCheck = async (check: Check): Promise<CheckResult> => {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<Finding>((resolve) => {
    timer = setTimeout(
      () =>
        resolve(
          fail(
            `no answer within ${check.deadlineMs} ms`,
            'Run bitlane doctor again; if it stays, reboot the device.',
          ),
        ),
      check.deadlineMs,
    );
  });
  try {
    return { name: check.name, ...(await Promise.race([Promise.resolve().then(() => check.run()), late])) };
  } catch (error) {
    return {
      name: check.name,
      ...fail(`the check itself failed: ${messageOf(error)}`, 'Please report this as a defect.'),
    };
  } finally {
    clearTimeout(timer);
  }
};
