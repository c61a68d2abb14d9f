import t from 'tap';
import { configDocs, isUpToDate } from '../../scripts/docs-config.js';

t.test('the committed reference and schema are what the schema gives now', async (t) => {
  const docs = configDocs();
  t.same(Object.keys(docs), ['docs/configuration.md', 'docs/schemas/config.schema.json']);
  for (const [path, text] of Object.entries(docs))
    t.ok(isUpToDate(path, text), `${path}: run npm run docs:config`);
});

t.test('every key stands in the reference, with what it means', async (t) => {
  const text = configDocs()['docs/configuration.md'] ?? '';
  for (const key of [
    'device',
    'camera.kind',
    'camera.input',
    'camera.path',
    'camera.driver',
    'lines[].from',
    'mqtt.url',
    'remote.allow',
  ]) {
    t.match(text, `| \`${key}\` |`);
  }
  t.notMatch(text, /undefined|\[object/);
});
