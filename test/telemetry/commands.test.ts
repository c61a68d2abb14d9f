// Commands on a real broker: where answers go, what is not run, and two thousand hostile ones.
import fc from 'fast-check';
import t from 'tap';
import { Consumer } from '../helpers/consumer.js';
import { skipWithoutMosquitto, until } from '../helpers/mosquitto.js';
import { responseTopicProblem } from '../../src/telemetry/requests.js';
import { broker, device } from './device.js';
import { scaled } from '../helpers/fuzz.js';

t.setTimeout(scaled(180_000));

t.test(
  'response topic and correlation data, or res/ and the transaction',
  { skip: skipWithoutMosquitto },
  async (t) => {
    const { url } = await broker(t);
    const consumer = await Consumer.open(url, { more: ['answers/#'] });
    t.teardown(() => consumer.close());
    const { telemetry } = device(t, { mqtt: { url } });
    telemetry.handle('log/level', ({ level }) => ({ level: level ?? 'info', previous: 'info' }));
    await telemetry.start();
    await consumer.until((c) => c.on('availability').length > 0, 'online');

    await consumer.send('cmd/log/level', '{"level":"debug"}', {
      responseTopic: 'answers/1',
      correlation: 'c-1',
    });
    await consumer.until((c) => c.on('answers/1').length === 1, 'an answer on the response topic');
    t.match(consumer.on('answers/1')[0], { correlation: 'c-1', qos: 1, retain: false, json: { ok: true } });
    await consumer.send('cmd/log/level', '{"level":"debug","transaction":7}');
    await consumer.until((c) => c.on('res/log/level').length === 1, 'an answer on res/');
    t.same(consumer.last('res/log/level'), {
      ok: true,
      result: { level: 'debug', previous: 'info' },
      transaction: 7,
    });
    await consumer.send('cmd/log/level', '', { qos: 0 });
    await consumer.until((c) => c.on('res/log/level').length === 2, 'an empty request');

    const refusals = [
      ['cmd/log/level', '{"level":"loud"}', /^level must be one of/],
      ['cmd/log/level', '{"leve":"debug"}', /^unknown key leve; did you mean "level"\?$/],
      ['cmd/log/level', '{', /is not JSON$/],
      ['cmd/no/such', '{}', /^there is no command "no\/such"/],
      ['cmd/log/level', `{"level":"${'x'.repeat(70_000)}"}`, /at most 65536 are taken$/],
    ] as const;
    for (const [topic, payload, sentence] of refusals) {
      const answers = consumer.on(topic.replace('cmd/', 'res/')).length;
      await consumer.send(topic, payload);
      const answer = topic.replace('cmd/', 'res/');
      await consumer.until((c) => c.on(answer).length > answers, `the refusal of ${payload.slice(0, 40)}`);
      const last = consumer.last(answer);
      t.match(last, { ok: false, error: { code: 'BAD_COMMAND' } });
      t.match((last?.['error'] as { message: string }).message, sentence);
    }
    t.same(consumer.invalid, []);
  },
);

t.test('nobody has us write where we should not', { skip: skipWithoutMosquitto }, async (t) => {
  for (const topic of [
    '',
    'bitlane',
    'bitlane/camera/availability',
    'bitlane/camera/res/',
    'bitlane/camera/resx/1',
    'bitlane/other/cmd/model/use',
    'a/#',
    'a/+/b',
    '$SYS/broker',
    'a\u0000b',
    'x'.repeat(600),
  ]) {
    t.type(responseTopicProblem(topic, 'bitlane', 'camera'), 'string', JSON.stringify(topic.slice(0, 40)));
  }
  for (const topic of ['answers/1', 'bitlane/camera/res/mine/1', 'bitlanes/camera']) {
    t.equal(responseTopicProblem(topic, 'bitlane', 'camera'), undefined, topic);
  }

  const { url } = await broker(t);
  const consumer = await Consumer.open(url);
  t.teardown(() => consumer.close());
  const { telemetry, lines } = device(t, { mqtt: { url } });
  let runs = 0;
  telemetry.handle('log/level', () => {
    runs += 1;
    return { level: 'info', previous: 'info' };
  });
  // Retained before the device is there, and while it is.
  await consumer.send('cmd/log/level', '{}', { retain: true });
  await telemetry.start();
  await consumer.until((c) => c.on('availability').length === 1, 'online');
  await consumer.send('cmd/log/level', '{}', { retain: true });
  await until(() => lines.some((line) => line.includes('it is retained')), 'the retained command is told');
  await consumer.send('cmd/log/level', '{}', {
    responseTopic: 'bitlane/camera/availability',
    correlation: 'x',
  });
  await consumer.until((c) => c.on('res/log/level').length === 1, 'the refusal');
  t.match(consumer.on('res/log/level')[0], { correlation: 'x', json: { ok: false } });
  t.equal(runs, 0);
  t.same(
    consumer.on('availability').map(({ json }) => json['state']),
    ['online'],
  );
  t.same(consumer.invalid, []);
});

t.test(
  'commands of a short break are run once, when the device is back',
  { skip: skipWithoutMosquitto },
  async (t) => {
    const { url } = await broker(t);
    const consumer = await Consumer.open(url);
    t.teardown(() => consumer.close());
    const { telemetry } = device(t, { mqtt: { url } });
    let runs = 0;
    telemetry.handle('log/level', () => {
      runs += 1;
      return { level: 'info', previous: 'info' };
    });
    await telemetry.start();
    await consumer.until((c) => c.on('availability').length === 1, 'online');
    // Somebody with our client id throws us out, and leaves without ending the session.
    const thief = await Consumer.open(url, {
      clientId: 'bitlane-camera',
      clean: false,
      reconnectPeriod: 0,
      properties: { sessionExpiryInterval: 300 },
      device: 'nobody',
    });
    await thief.close();
    for (let index = 0; index < 5; index += 1)
      await consumer.send('cmd/log/level', `{"transaction":${index}}`);
    await consumer.until((c) => c.on('res/log/level').length >= 5, 'all are answered');
    t.equal(runs, 5);
    t.same(
      consumer.on('res/log/level').map(({ json }) => json['transaction']),
      [0, 1, 2, 3, 4],
    );
    t.same(consumer.invalid, []);
  },
);

t.test(
  'two thousand hostile commands: one answer or one line each',
  { skip: skipWithoutMosquitto },
  async (t) => {
    const { url } = await broker(t);
    const consumer = await Consumer.open(url, { more: ['answers/#'] });
    t.teardown(() => consumer.close());
    const { telemetry, lines, twin } = device(t, { mqtt: { url } });
    telemetry.handle('log/level', () => ({ level: 'info', previous: 'info' }));
    telemetry.handle('model/list', () => {
      throw new Error('a handler that breaks');
    });
    await telemetry.start();
    await consumer.until((c) => c.on('availability').length > 0, 'online');
    const before = twin.config;

    const segment = fc.constantFrom(
      'model',
      'list',
      'use',
      'log',
      'level',
      'snapshot',
      '..',
      '',
      ' ',
      '%00',
      'ä',
      'X',
    );
    const name = fc.oneof(
      fc.constantFrom('log/level', 'model/list', 'model/use', 'snapshot', 'no/such'),
      fc.array(segment, { minLength: 1, maxLength: 6 }).map((parts) => parts.join('/')),
      fc.constant('x'.repeat(300)),
    );
    const text = fc.oneof(
      fc.json({ maxDepth: 3 }),
      fc.string({ unit: 'binary', maxLength: 60 }),
      fc.constantFrom(
        '',
        '{}',
        'null',
        '[]',
        '{"__proto__":{"level":"debug"}}',
        '{"transaction":{}}',
        '{"level":null}',
      ),
      fc.integer({ min: 1, max: 20_000 }).map((depth) => `${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}`),
    );
    const payload = fc.oneof(
      text.map((value) => Buffer.from(value)),
      fc.uint8Array({ maxLength: 64 }).map((bytes) => Buffer.from(bytes)),
    );
    const responseTopic = fc.oneof(
      fc.constant(undefined),
      fc.constantFrom(
        'answers/x',
        'bitlane/camera/health',
        'bitlane/camera/cmd/snapshot',
        'bitlane/camera/res/own',
      ),
    );
    const isPlain = (value: string): boolean => /^[a-z0-9_-]{1,64}(\/[a-z0-9_-]{1,64}){0,3}$/.test(value);
    const isBad = (topic?: string): boolean =>
      topic?.startsWith('bitlane/camera/') === true && !topic.includes('/res/');
    const answers = (): number =>
      consumer.messages.filter(({ topic }) => topic.startsWith('res/') || topic.startsWith('answers/'))
        .length;
    const lined = (): number => lines.filter((line) => line.includes(' was not run: ')).length;
    const total = scaled(2_000);
    const seen = { commands: 0, answers: 0, lines: 0 };
    // In rounds, so that what is kept and looked through again and again stays small.
    while (seen.commands < total) {
      const commands = fc.sample(
        fc.record({ name, payload, responseTopic }),
        Math.min(2_000, total - seen.commands),
      );
      const answerable = commands.filter(
        (command) =>
          isPlain(command.name) || (command.responseTopic !== undefined && !isBad(command.responseTopic)),
      ).length;
      const told = commands.filter(
        (command) => !isPlain(command.name) || isBad(command.responseTopic),
      ).length;
      for (let sent = 0; sent < commands.length; sent += 100) {
        await Promise.all(
          commands
            .slice(sent, sent + 100)
            .map((command) =>
              consumer.send(
                `cmd/${command.name}`,
                command.payload,
                command.responseTopic === undefined ? {} : { responseTopic: command.responseTopic },
              ),
            ),
        );
      }
      await until(() => answers() >= answerable && lined() >= told, 'every command is dealt with', 60_000);
      await consumer.send('cmd/log/level', '{"transaction":"the last one"}');
      await consumer.until(
        (c) => c.on('res/log/level').some(({ json }) => json['transaction'] === 'the last one'),
        'still alive',
      );
      t.equal(answers() - 1, answerable, 'exactly one answer for each that can be answered');
      t.equal(lined(), told, 'exactly one line for each that is not run');
      t.equal(consumer.on('health').length, 0);
      t.same(consumer.invalid, []);
      seen.commands += commands.length;
      seen.answers += answerable;
      seen.lines += told;
      consumer.messages.length = 0;
      lines.length = 0;
    }
    t.ok(seen.answers > total / 4 && seen.lines > total / 4);
    t.equal(telemetry.counters.connections, 1, 'the connection stood');
    t.equal(twin.config, before, 'the configuration is as it was');
    t.comment(`${seen.commands} commands, ${seen.answers} answers, ${seen.lines} lines`);
  },
);
