// Writes docs/configuration.md and docs/schemas/config.schema.json from the schema of the configuration.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { configJsonSchema, type JsonSchemaNode, REMOTE_ALLOWED, RESTART_KEYS } from '../src/config/index.js';
import { packageRoot } from '../src/system/index.js';

const INTRODUCTION = `# Configuration

Made from the schema by \`npm run docs:config\`: change the schema, not this file.

One file, YAML or (where its name ends in \`.json\`) JSON, by default \`/etc/bitlane/bitlane.yaml\`; \`bitlane run --config FILE\` takes
another. \`bitlane doctor --config FILE\` says whether it is valid. An unknown key, a wrong type or a value out of range is refused with
a sentence that names the key and the rule. **While the daemon runs**, the last good configuration then stays active; **at a start**
there is none, and a bad file keeps the daemon down: ask \`bitlane doctor\` before every restart. \`docs/schemas/config.schema.json\`
is the same as a JSON Schema, for editors.

\`systemctl reload bitlane\` (SIGHUP) reads the file again without a lost frame. Only ${RESTART_KEYS.map((key) => `\`${key}\``).join(', ')}
wait for the next start (\`systemctl restart bitlane\` on the device; nothing restarts it from afar).

Three layers: the defaults below, the file over them, and over the file what arrives on \`config/desired\`, a JSON merge patch (RFC 7396).
There, \`null\` takes the file's value away, so that the default holds; to go back to the file's value, leave the key out of the next
change set. Lists are replaced whole. A change set may touch only the keys that \`remote.allow\` lists; one that touches another, or
whose result is invalid, is refused as a whole.

    device: north-bridge
    camera:
      kind: ffmpeg
      input: rtsp://192.0.2.7/stream1
    lines:
      - name: stop-line
        from: [0.1, 0.6]
        to: [0.9, 0.6]
    mqtt:
      url: mqtts://broker.example
      username: north-bridge
      passwordFile: /run/credentials/bitlane.service/bitlane_mqtt-password

Times are milliseconds where a key ends in \`Ms\`. Points are shares of the frame's width and height, from the top left.
`;

const code = (value: unknown): string => `\`${JSON.stringify(value)}\``;
/** Text as it may stand in a cell of a table. */
const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('\n', ' ');
const variants = (node: JsonSchemaNode): readonly JsonSchemaNode[] => node.oneOf ?? node.anyOf ?? [];

const typeOf = (node: JsonSchemaNode): string => {
  const parts = variants(node);
  if (node.const !== undefined) return code(node.const);
  if (node.enum !== undefined) return node.enum.map(code).join(', ');
  if (parts.length > 0) return parts.map(typeOf).join(', ');
  if (node.prefixItems !== undefined) return `[${node.prefixItems.map(typeOf).join(', ')}]`;
  if (node.type === 'array') return node.items === undefined ? 'list' : `list of ${typeOf(node.items)}`;
  const names: Readonly<Record<string, string>> = {
    string: 'text',
    integer: 'whole number',
    object: 'mapping',
    boolean: 'true or false',
  };
  return names[String(node.type)] ?? String(node.type);
};

const range = (low: number | undefined, high: number | undefined, unit: string): string[] => {
  // zod writes the safe integers as limits where there are none.
  const [from, to] = [low, high].map((limit) =>
    limit === undefined || Math.abs(limit) >= Number.MAX_SAFE_INTEGER ? undefined : limit,
  );
  if (from === undefined && to === undefined) return [];
  if (from === undefined) return [`at most ${to}${unit}`];
  return [to === undefined ? `at least ${from}${unit}` : `${from} to ${to}${unit}`];
};

const ruleOf = (node: JsonSchemaNode): string =>
  [
    ...range(node.minimum, node.maximum, ''),
    ...(node.exclusiveMinimum === undefined ? [] : [`more than ${node.exclusiveMinimum}`]),
    ...range(node.minLength, node.maxLength, ' characters'),
    ...(node.prefixItems === undefined ? range(node.minItems, node.maxItems, ' entries') : []),
    ...(node.multipleOf === undefined ? [] : [`a multiple of ${node.multipleOf}`]),
    ...(node.pattern === undefined ? [] : [`matches \`${node.pattern}\``]),
  ].join('; ');

/** A key is given by hand where it is required and has no default. */
const defaultOf = (node: JsonSchemaNode, isRequired: boolean, path: string): string => {
  if (path === 'remote.allow') return 'the list below';
  if (node.default !== undefined) return code(node.default);
  return isRequired ? 'required' : '';
};

const rows = (node: JsonSchemaNode, prefix: string): string[] =>
  Object.entries(node.properties ?? {}).flatMap(([key, child]) => {
    const path = `${prefix}${key}`;
    const isRequired = node.required?.includes(key) === true;
    const own = `| ${[
      `\`${path}\``,
      typeOf(child),
      defaultOf(child, isRequired, path),
      ruleOf(child),
      child.description ?? '',
    ]
      .map(cell)
      .join(' | ')} |`;
    const below =
      child.items?.properties === undefined ? rows(child, `${path}.`) : rows(child.items, `${path}[].`);
    return [own, ...below];
  });

const table = (node: JsonSchemaNode, prefix: string): string =>
  ['| key | type | default | rule | meaning |', '|---|---|---|---|---|', ...rows(node, prefix)].join('\n');

const section = (name: string, node: JsonSchemaNode): string => {
  const kinds = variants(node);
  if (kinds.length === 0) return `## ${name}\n\n${table(node, `${name}.`)}\n`;
  const parts = kinds.map((kind) => {
    const { const: word, description } = kind.properties?.['kind'] ?? {};
    return `### \`kind: ${String(word)}\`\n\n${description ?? ''}\n\n${table(kind, `${name}.`)}\n`;
  });
  return `## ${name}\n\nRequired; its keys depend on \`kind\`.\n\n${parts.join('\n')}`;
};

/** The text of both files, by path below the package folder. */
export const configDocs = (): Readonly<Record<string, string>> => {
  const schema = configJsonSchema();
  const all = Object.entries(schema.properties ?? {});
  const isSection = ([, node]: (typeof all)[number]): boolean =>
    node.properties !== undefined || variants(node).length > 0;
  const top = { ...schema, properties: Object.fromEntries(all.filter((entry) => !isSection(entry))) };
  const sections = all.filter(isSection).map(([name, node]) => section(name, node));
  const allowed = `What \`remote.allow\` lists by default: ${REMOTE_ALLOWED.map((key) => `\`${key}\``).join(', ')}.\n`;
  return {
    'docs/configuration.md': [INTRODUCTION, `## Top level\n\n${table(top, '')}\n`, ...sections, allowed].join(
      '\n',
    ),
    'docs/schemas/config.schema.json': `${JSON.stringify(schema, null, 2)}\n`,
  };
};

/** Whether a committed file is what would be written now. */
export const isUpToDate = (path: string, text: string): boolean =>
  readFileSync(join(packageRoot, path), 'utf8') === text;

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  for (const [path, text] of Object.entries(configDocs())) {
    mkdirSync(dirname(join(packageRoot, path)), { recursive: true });
    writeFileSync(join(packageRoot, path), text);
  }
}
