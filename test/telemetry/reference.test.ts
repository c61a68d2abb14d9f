// The committed reference and JSON Schema files are what the types say, and every example is what its schema says.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { leftOver, mqttReference } from '../../scripts/docs-mqtt.js';
import { EXAMPLES } from '../../scripts/mqtt-examples.js';
import { packageRoot } from '../../src/system/index.js';
import { TOPICS } from '../../src/telemetry/index.js';
import { schemaOf } from '../helpers/consumer.js';

t.test('docs/mqtt.md and docs/schemas are up to date (npm run docs:mqtt)', async (t) => {
  const files = new Map(mqttReference());
  t.equal(files.size, TOPICS.length + 1);
  for (const [path, text] of files) t.equal(readFileSync(join(packageRoot, path), 'utf8'), text, path);
  t.same(leftOver(files), [], 'no file is left over');
  files.delete('docs/schemas/info.schema.json');
  t.same(
    leftOver(files),
    ['docs/schemas/info.schema.json'],
    "and none of the configuration's is taken for one",
  );
});

t.test('every example fits, and stops fitting when something is added', async (t) => {
  t.same(Object.keys(EXAMPLES).sort(), TOPICS.map(({ topic }) => topic).sort());
  for (const { topic, file, schema } of TOPICS) {
    const example = EXAMPLES[topic];
    const validate = schemaOf(file);
    t.ok(validate(example), `${topic}: ${JSON.stringify(validate.errors)}`);
    t.ok(schema.safeParse(example).success, `${topic} by the type that the code uses`);
    if (topic.startsWith('cmd/')) continue;
    t.notOk(validate({ ...(example as object), extra: 1 }), `${topic} with a field that is none`);
  }
});
