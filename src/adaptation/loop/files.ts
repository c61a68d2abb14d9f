// The pages of the history, beside the store.
import { copyFileSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { REPORT_FILE } from '../job/run-job.js';

/** Where the page of an adaptation lies, below the state folder. */
export const reportPath = (stateDir: string, id: string): string =>
  join(stateDir, 'adaptation', 'history', `${id}.html`);

/** Keeps the page of a job; removes the page of an old one where there is no job. */
export const keepReport = (folder: string, job: string | undefined, id: string): void => {
  const target = join(folder, 'history', `${id}.html`);
  try {
    if (job === undefined) rmSync(target, { force: true });
    else {
      mkdirSync(join(folder, 'history'), { recursive: true, mode: 0o750 });
      copyFileSync(join(job, REPORT_FILE), target);
    }
  } catch {
    // An adaptation that ended early has no page.
  }
};
