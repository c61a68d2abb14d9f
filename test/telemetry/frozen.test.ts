// A broker that freezes (SIGSTOP): the kernel still takes connections and bytes, nobody reads them.
import t from 'tap';
import { Consumer } from '../helpers/consumer.js';
import { skipWithoutMosquitto, until } from '../helpers/mosquitto.js';
import { broker, counts, device, firstAppearances } from './device.js';

const seqsOf = (consumer: Consumer): number[] =>
  consumer.on('counts/60').map(({ json }) => Number(json['seq']));

t.setTimeout(180_000);

t.test(
  'the broker freezes: nothing is lost, and it is noticed',
  { skip: skipWithoutMosquitto },
  async (t) => {
    const made = await broker(t);
    const consumer = await Consumer.open(made.url);
    t.teardown(() => consumer.close());
    const { telemetry, store, reasons } = device(t, { mqtt: { url: made.url, connectTimeoutMs: 1_000 } });
    await telemetry.start();
    await until(() => telemetry.counters.connected, 'connected');
    made.freeze();
    const seqs = Array.from(
      { length: 200 },
      (_, index) => telemetry.enqueue('counts/60', counts(index)) ?? 0,
    );
    await until(
      () => reasons.length > 1,
      'silence is a break, and so is a connection without an answer',
      60_000,
    );
    t.match(reasons[0], /was silent for longer than mqtt.keepaliveSeconds$/);
    t.match(reasons[1], /does not answer within mqtt.connectTimeoutMs$/);
    t.equal(store.outbox.counters.rows, 200, 'nothing left the store');
    made.thaw();
    await until(() => store.outbox.counters.rows === 0, 'the store is empty');
    await consumer.until((c) => new Set(seqsOf(c)).size === seqs.length, 'all have arrived');
    const { order, repeated } = firstAppearances(seqsOf(consumer));
    t.same(order, seqs);
    t.comment(`${repeated} messages came twice`);
    t.same(consumer.invalid, []);
  },
);
