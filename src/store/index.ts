// SQLite: schema, migrations, repositories. What must survive a restart and is not a file of its own.
export { type AdaptationRow, AdaptationRows } from './adaptations.js';
export { type Boot, Boots } from './boots.js';
export { type ExampleRow, ExampleRows, type PairRow } from './examples.js';
export { KeyValue } from './key-value.js';
export { type ObservationRow, ObservationRows, type ObservationSum } from './observations.js';
export { Outbox, type OutboxCounters, type OutboxKind, type OutboxRow } from './outbox.js';
export { openStore, readStore, type Store, type StoreOptions } from './store.js';
