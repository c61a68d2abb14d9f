// A process that writes to a store until it is killed, and says what was written.
import { openStore } from '../../src/store/index.js';
import { say } from '../helpers/say.js';

const [path = ''] = process.argv.slice(2);

const store = openStore(path);
const boot = store.boots.begin('test');
say('started');
for (let count = 0; ; count += 1) {
  const seq = store.outbox.append('counts/60', JSON.stringify({ boot: boot.id, count }), {
    kind: 'counts',
    bootId: boot.id,
  });
  say(`row ${seq}`);
  if (count % 50 === 49) {
    store.keyValue.set('last', { seq });
    const done = store.outbox.peek(0, 20).map((row) => row.seq);
    say(`acking ${done.at(-1)}`);
    store.outbox.ack(done);
    say(`acked ${done.at(-1)}`);
  }
}
