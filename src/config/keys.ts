// The keys of the configuration, read from its schema.
import { z } from 'zod';
import { configSchema } from './schema.js';

/** The part of a JSON Schema that is read here. */
export interface JsonSchemaNode {
  readonly type?: string | readonly string[];
  readonly description?: string;
  readonly default?: unknown;
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly exclusiveMinimum?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly multipleOf?: number;
  readonly pattern?: string;
  readonly format?: string;
  readonly required?: readonly string[];
  readonly properties?: Readonly<Record<string, JsonSchemaNode>>;
  readonly items?: JsonSchemaNode;
  readonly prefixItems?: readonly JsonSchemaNode[];
  readonly anyOf?: readonly JsonSchemaNode[];
  readonly oneOf?: readonly JsonSchemaNode[];
}

let cached: JsonSchemaNode | undefined;

/** JSON Schema (2020-12) of the configuration file. */
export const configJsonSchema = (): JsonSchemaNode => {
  cached ??= {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: 'bitlane configuration',
    ...(z.toJSONSchema(configSchema, { io: 'input' }) as JsonSchemaNode),
  } as JsonSchemaNode;
  return cached;
};

/** The alternatives of a node, itself where it has none. */
export const alternatives = (node: JsonSchemaNode): readonly JsonSchemaNode[] =>
  (node.oneOf ?? node.anyOf)?.flatMap(alternatives) ?? [node];

const step = (node: JsonSchemaNode, part: PropertyKey): readonly JsonSchemaNode[] => {
  if (typeof part === 'number') {
    const item = node.prefixItems?.[part] ?? node.items;
    return item === undefined ? [] : alternatives(item);
  }
  const { properties } = node;
  const key = String(part);
  const child = properties !== undefined && Object.hasOwn(properties, key) ? properties[key] : undefined;
  return child === undefined ? [] : alternatives(child);
};

/** The keys that the schema knows at a path. */
export const knownKeys = (path: readonly PropertyKey[]): readonly string[] => {
  let nodes = alternatives(configJsonSchema());
  for (const part of path) nodes = nodes.flatMap((node) => step(node, part));
  return [...new Set(nodes.flatMap((node) => Object.keys(node.properties ?? {})))];
};

/** Whether `path` (`camera.width`) is a key of the configuration. */
export const isKey = (path: string): boolean => {
  const parts = path.split('.');
  return parts.every((part, index) => knownKeys(parts.slice(0, index)).includes(part));
};
