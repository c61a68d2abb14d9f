// A process that stores examples until it is killed, and says which are stored.
import { join } from 'node:path';
import { ExampleLibrary } from '../../src/examples/index.js';
import { openStore } from '../../src/store/index.js';
import { silentLog } from '../../src/system/index.js';
import { say } from '../helpers/say.js';
import { example, jpegOf, rules } from './parts.js';

const [stateDir = '', maxMb = '1', perPair = '50'] = process.argv.slice(2);
const pictures = [30, 60, 90, 120].map((size) => jpegOf(size, size));
const pairs = ['car:truck', 'car:truck', 'car:truck', 'bus:truck', 'bus:car'];

const store = openStore(join(stateDir, 'bitlane.db'));
const library = new ExampleLibrary({
  stateDir,
  store,
  rules: { ...rules, maxMb: Number(maxMb), perPair: Number(perPair), perHour: 1_000_000 },
  log: silentLog,
});
say('started');
await library.sweep();
for (let round = 0; ; round += 1) {
  const items = Array.from({ length: 1 + (round % 6) }, (_, index) =>
    example({
      pair: pairs[(round + index) % pairs.length] ?? '',
      jpeg: pictures[(round * 3 + index) % pictures.length] ?? jpegOf(30),
    }),
  );
  const stored = await library.add(items);
  if (stored.length > 0) say(`stored ${stored.map(({ id }) => id).join(' ')}`);
}
