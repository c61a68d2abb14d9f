// The configuration: schema, file, remote change sets, differences.
export { type ConfigDiff, type ConfigPart, diffConfig, RESTART_KEYS } from './diff.js';
export { canonical, isObject, isWithinDepth, type Json, type JsonObject, mergePatch } from './json.js';
export { alternatives, configJsonSchema, type JsonSchemaNode } from './keys.js';
export { layerConfig, loadConfig, type LocalConfig, parseConfig, readConfig } from './load.js';
export { ConfigError, describeProblems, quote } from './problems.js';
export * from './schema.js';
