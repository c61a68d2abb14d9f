// The configuration: its schema and types.
export * from './schema.js';
