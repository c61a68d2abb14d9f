// Bad candidates never serve: each kind is refused with its reason, and no frame is lost over it.
import t from 'tap';
import { KINDS, offerBad, REASONS } from './bad-candidates.js';

t.test('a candidate that is bad on purpose is not committed', async (t) => {
  const { tried, lost } = await offerBad(KINDS);
  for (const { kind, deployed, serves } of tried) {
    t.equal(deployed.committed, false, kind);
    t.match(deployed.reason, REASONS[kind], kind);
    t.equal(serves, true, `${kind}: the good one serves on`);
    t.equal(
      deployed.missed,
      kind === 'too slow' || kind === 'too large',
      `${kind}: a missed budget is told apart`,
    );
  }
  t.equal(lost, 0);
});
