import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { killAgainAndAgain } from './kills.js';
import { folderOf } from './parts.js';

t.setTimeout(240_000);

t.test(
  'a writer that is killed loses nothing that it said was stored, and never takes more room than it may',
  async (t) => {
    const [keeps, removes] = ['keeps', 'removes'].map((name) => join(folderOf(t), name));
    for (const folder of [keeps, removes]) mkdirSync(folder ?? '');
    const kept = await killAgainAndAgain(keeps ?? '', 12, { maxMb: 1000, perPair: 100_000 }, false);
    t.match(kept, { lost: 0, capExceeded: 0, orphans: 0 });
    t.ok(kept.acknowledged > 50, `${kept.acknowledged} were stored`);
    const full = await killAgainAndAgain(removes ?? '', 12, { maxMb: 0.02, perPair: 8 }, true);
    t.match(full, { lost: 0, capExceeded: 0, orphans: 0 });
  },
);
