// Writes docs/schemas/*.schema.json and docs/mqtt.md from the zod types that the daemon publishes with (npm run docs:mqtt).
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { alternatives, type JsonSchemaNode } from '../src/config/index.js';
import type { ErrorCode } from '../src/errors.js';
import { packageRoot } from '../src/system/index.js';
import { CLOSE_GRACE_MS } from '../src/tracking/index.js';
import { TOPICS, type TopicSpec } from '../src/telemetry/index.js';
import { EXAMPLES } from './mqtt-examples.js';

interface Node extends JsonSchemaNode {
  readonly additionalProperties?: boolean | Node;
  readonly $ref?: string;
}

/** JSON Schema of a topic: of what is taken for topics that come in, of what is sent for the others. */
export const topicJsonSchema = (spec: TopicSpec): unknown =>
  z.toJSONSchema(spec.schema, { io: spec.direction === 'in' ? 'input' : 'output' });

const isNode = (value: unknown): value is Node => typeof value === 'object' && value !== null;
const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('\n', ' ');

const scalar = (node: Node): string => {
  if (node.const !== undefined) return `\`${JSON.stringify(node.const)}\``;
  if (node.enum !== undefined) return node.enum.map((value) => `\`${JSON.stringify(value)}\``).join(', ');
  if (node.prefixItems !== undefined) {
    const types = [...new Set(node.prefixItems.map(typeText))].join(' or ');
    return `list of ${node.prefixItems.length} ${types}s`;
  }
  if (node.items !== undefined) return `list of ${typeText(node.items)}`;
  if (isNode(node.additionalProperties)) return 'object';
  if (node.$ref !== undefined) return 'any JSON value';
  const type = String(node.type ?? 'any JSON value');
  return node.format === undefined ? type : `${type}, ${node.format}`;
};
const typeText = (node: Node): string => [...new Set(alternatives(node).map(scalar))].join(' or ');

const rules = (node: Node): string => {
  const parts: string[] = [];
  for (const part of alternatives(node)) {
    if (part.exclusiveMinimum !== undefined) parts.push(`more than ${part.exclusiveMinimum}`);
    if (part.minimum !== undefined) parts.push(`at least ${part.minimum}`);
    if (part.maximum !== undefined && part.maximum < Number.MAX_SAFE_INTEGER) {
      parts.push(`at most ${part.maximum}`);
    }
    if (part.maxLength !== undefined) parts.push(`at most ${part.maxLength} characters`);
    if (part.default !== undefined) parts.push(`\`${JSON.stringify(part.default)}\` when left out`);
  }
  return [...new Set(parts)].join(', ');
};

/** The rows of an object's fields, those of nested objects and lists below them. */
const rows = (node: Node, under = ''): string[] =>
  Object.entries(node.properties ?? {}).flatMap(([name, child]: [string, Node]) => {
    const path = `${under}${name}`;
    const isRequired = node.required?.includes(name) === true;
    const branches = alternatives(child);
    const description = child.description ?? branches.find((branch) => branch.description)?.description;
    const text = [description, rules(child)].filter((part) => part !== undefined && part !== '').join('; ');
    const row = `| \`${path}\` | ${cell(typeText(child))} | ${isRequired ? 'yes' : 'no'} | ${cell(text)} |`;
    const below = branches.flatMap((branch: Node) => [
      ...rows(branch, `${path}.`),
      ...(branch.items === undefined
        ? []
        : alternatives(branch.items).flatMap((item) => rows(item, `${path}[].`))),
    ]);
    return [row, ...below];
  });

const section = (spec: TopicSpec): string => {
  const schema = topicJsonSchema(spec) as Node;
  // A failure looks the same for every command and is told once.
  const shown = alternatives(schema)[0] ?? schema;
  const facts = [
    spec.direction === 'in' ? 'to the device' : 'from the device',
    spec.retained ? 'retained' : 'not retained',
    `QoS ${spec.qos}`,
    ...(spec.outbox ? ['through the outbox'] : []),
  ];
  const table = rows(shown);
  return [
    `### \`${spec.topic}\``,
    `${schema.description ?? ''} ${facts.join(', ')}. Schema: [${spec.file}](schemas/${spec.file}.schema.json).`
      .trim()
      .replace(/(^|\. )([a-z])/g, (_match, before: string, letter: string) => before + letter.toUpperCase()),
    ...(table.length === 0
      ? ['No fields.']
      : [['| field | type | always there | meaning |', '|---|---|---|---|', ...table].join('\n')]),
    `\`\`\`json\n${JSON.stringify(EXAMPLES[spec.topic], null, 2)}\n\`\`\``,
  ].join('\n\n');
};

const CODES: Readonly<Record<ErrorCode, string>> = {
  BAD_COMMAND: 'the request breaks its schema, or asks for what there is not',
  BAD_CONFIG: 'a configuration or change set that breaks the schema',
  BAD_MODEL: 'a model that is broken or cannot be served',
  NO_SUCH_MODEL: 'a model that is not installed',
  SWAP_FAILED: 'a swap that was refused or taken back',
  BUSY: 'another one of the kind runs, or four commands do: ask again later',
  TIMEOUT: 'not done within its time',
  UNSUPPORTED: 'something that this device or its settings do not allow',
  UNREACHABLE: 'something that must be contacted is away',
  CAMERA_FAILED: 'the camera cannot be opened or delivers nothing',
  DETECTOR_FAILED: 'a detector process did not start, answer or stop in time',
  STORE_FAILED: 'the store or a file could not be written',
  BAD_FRAME: 'a picture that cannot be read',
  BAD_DATASET: 'labelled pictures that are missing or inconsistent',
  BAD_USAGE: 'on the command line only: options that cannot be understood',
  INTERNAL: 'a defect of bitlane',
};

const INTRODUCTION = `# MQTT reference

Made from the types that the daemon publishes with (\`npm run docs:mqtt\`): do not edit.

Every topic stands below \`<root>/<device>/\` (\`mqtt.root\`, \`device\`); payloads are JSON. The JSON Schema (2020-12) of each is
in [schemas/](schemas/), and a test holds every published message against it. Fields may be added without a new number in \`schema\`:
ignore those that you do not know. What ends in \`_mb\` is MiB (2^20 bytes).

**Connection.** MQTT 5; \`mqtt.protocolVersion: 4\` gives MQTT 3.1.1: the same without properties. The client id is
\`mqtt.clientId\`, or \`bitlane-<device>\`: one of its own at the broker for each device. With MQTT 5 the broker keeps the subscriptions and QoS 1 commands of a device that vanished for five
minutes; a clean stop ends the session. MQTT 3.1.1 sessions have no end, so there a clean session is asked for, and commands
sent during a break are lost.

**States** (retained) go out when they change and again after every reconnect. \`availability\` is \`online\` after connecting,
\`stopped\` after a clean stop, and \`offline\`, said by the broker (last will), when the device vanished.

**Outbox.** \`counts\` and \`event\` messages are stored on the device until the broker acknowledged them, over outages and
restarts. They arrive in the order of \`seq\`, at least once: after a break a message may come again, with \`replayed\` true, but
no message comes for the first time after a later one. Remember the pairs of \`boot_id\` and \`seq\` to drop repetitions.
A gap in \`seq\` is a lost message: at its cap the outbox drops the oldest events first, counts last (\`health.outbox.evicted\`), and what
the broker refuses for good is dropped (\`health.outbox.refused\`). With reason code 0x80, 0x83 or
0x97 it stays and is tried again; with the first two it is dropped, too, when the broker took others and refused it alone three times in a row. After a damaged store was set aside \`seq\` leaps, too. An interval that is open when the daemon stops is counted on by the
next start, and sent by that.

**Commands.** Publish \`cmd/<name>\`, QoS 1, not retained: a retained command is ignored. With MQTT 5 name a response topic and
correlation data; without them the answer goes to \`res/<name>\`, with the \`transaction\` of the request. A response topic must
be free of wildcards, at most 512 bytes long, must not begin with \`$\`, and below the root only \`<root>/<device>/res/...\` is
taken; otherwise the command is not run, and \`res/<name>\` says so. A command is acknowledged when it is taken up and run at most once.
Models do not come over MQTT: \`bitlane models import\` on the device installs one, and commands swap what is installed. A request is at most
64 KiB. While the device runs and reaches the broker, every request that is not retained gets one answer, at the latest when the
command's time is over (5 s to 2 minutes; an hour for those that swap): \`{"ok": true, "result": ...}\`, or

\`\`\`json
{ "ok": false, "error": { "code": "BAD_COMMAND", "message": "one plain sentence" }, "transaction": "swap-17" }
\`\`\`

Codes, for machines; the message is for people:

| code | meaning |
|---|---|
${Object.entries(CODES)
  .map(([code, text]) => `| \`${code}\` | ${text} |`)
  .join('\n')}

**Counts.** An interval is sent some ${CLOSE_GRACE_MS / 1000} s after its end: crossings come late, as their frame has to be detected and their class settled.
Intervals hang on the device's clock. Set forward, what was skipped is not reported. Set back by up to an hour, counting goes on in the
open interval until the clock has caught up (\`observed_s\` is then more than its length); by more, that interval is closed at once and the same
\`from\` may come a second time. A device that starts without the time counts by the clock it has.

**While an adaptation runs**, \`adapt/state\` goes out up to every 2 s, for hours. \`step\` is a name for people and may change.

**Remote configuration.** Publish \`config/desired\`, retained; \`config/reported\` says what became of it. Whatever is wrong with
it, the last good configuration stays in force. A version must be higher than every one that was taken up: one that was refused may
come again, mended. The same message again changes nothing; other changes under a version that was taken up are refused, which
\`errors\` tells beside the outcome of the first. A change set has proved itself when the daemon has run for a minute with all of it in force, counted from when it was taken up, or
from the next start. One that has not, and with which two starts in a row did not run for a minute, is taken back at the third and
reported as \`rejected\` (a broker that cannot be reached is no such failure); so is one during whose taking up the daemon ended twice. An empty payload changes nothing.
`;

/** Every generated file: its path below the package, and its text. */
export const mqttReference = (): ReadonlyMap<string, string> => {
  const files = new Map<string, string>();
  for (const spec of TOPICS) {
    files.set(`docs/schemas/${spec.file}.schema.json`, `${JSON.stringify(topicJsonSchema(spec), null, 2)}\n`);
  }
  const parts = [INTRODUCTION.trimEnd()];
  const group = (title: string, topics: readonly TopicSpec[]): void => {
    parts.push(`## ${title}`, ...topics.map(section));
  };
  const isCommand = ({ topic }: TopicSpec): boolean => /^(cmd|res)\//.test(topic);
  group(
    'States',
    TOPICS.filter(({ topic, retained }) => retained && !topic.startsWith('config/')),
  );
  group(
    'Messages',
    TOPICS.filter((spec) => !spec.retained && !isCommand(spec)),
  );
  group(
    'Remote configuration',
    TOPICS.filter(({ topic }) => topic.startsWith('config/')),
  );
  group('Commands', TOPICS.filter(isCommand));
  files.set('docs/mqtt.md', `${parts.join('\n\n')}\n`);
  return files;
};

/** Made by the reference of the configuration. */
const NOT_OURS = 'docs/schemas/config.schema.json';

/** Schemas in the folder that no topic has any more. */
export const leftOver = (files: ReadonlyMap<string, string>): string[] =>
  readdirSync(join(packageRoot, 'docs', 'schemas'))
    .map((name) => `docs/schemas/${name}`)
    .filter((path) => path.endsWith('.schema.json') && !files.has(path) && path !== NOT_OURS);

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const files = mqttReference();
  mkdirSync(join(packageRoot, 'docs', 'schemas'), { recursive: true });
  for (const path of leftOver(files)) rmSync(join(packageRoot, path));
  for (const [path, text] of files) {
    mkdirSync(dirname(join(packageRoot, path)), { recursive: true });
    writeFileSync(join(packageRoot, path), text);
  }
  process.stdout.write(`${files.size} files written below docs/\n`);
}
