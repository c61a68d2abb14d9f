// What the telemetry tests share: a store, a configuration and a device on a broker.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Test } from 'tap';
import { type JsonObject, type LocalConfig, mergePatch, parseConfig } from '../../src/config/index.js';
import { openStore, type Store } from '../../src/store/index.js';
import { type Log, RootLog } from '../../src/system/index.js';
import { ConfigTwin, type OutboxBody, Telemetry } from '../../src/telemetry/index.js';
import { type Broker, type BrokerOptions, startBroker } from '../helpers/mosquitto.js';

/** A folder that is gone after the test. */
export const temporary = (t: Test): string => {
  const folder = mkdtempSync(join(tmpdir(), 'bitlane-test-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
};

const BASE: JsonObject = {
  camera: { kind: 'replay', path: '/nowhere' },
  mqtt: { reconnectInitialMs: 20, reconnectMaxMs: 200, keepaliveSeconds: 5, connectTimeoutMs: 5_000 },
};

/** The local configuration with `changes` laid over. */
export const localConfig = (changes: JsonObject = {}): LocalConfig => {
  const value = mergePatch(BASE, changes);
  return { source: 'test.yaml', value, config: parseConfig(value) };
};

/** A log whose lines can be looked at. */
export const listeningLog = (): { readonly log: Log; readonly lines: string[] } => {
  const lines: string[] = [];
  return { lines, log: new RootLog({ level: 'debug', write: (line) => void lines.push(line) }).part('test') };
};

export const broker = async (t: Test, options: BrokerOptions = {}): Promise<Broker> => {
  const made = await startBroker(options);
  t.teardown(() => made.remove());
  return made;
};

export interface Device {
  readonly telemetry: Telemetry;
  readonly twin: ConfigTwin;
  readonly store: Store;
  readonly lines: string[];
  readonly reasons: string[];
}

/** A device, not started yet; it is stopped after the test. */
export const device = (t: Test, changes: JsonObject, options: { readonly store?: Store } = {}): Device => {
  const { log, lines } = listeningLog();
  const store = options.store ?? openStore(join(temporary(t), 'bitlane.db'));
  const boot = store.boots.begin('0.0.0');
  const local = localConfig(changes);
  const twin = new ConfigTwin({ store: store.keyValue, log, bootId: boot.id, local });
  const { config } = twin.boot();
  const telemetry = new Telemetry({ config, store, bootId: boot.id, log, twin });
  const reasons: string[] = [];
  telemetry.on('disconnected', ({ reason }) => void reasons.push(reason));
  t.teardown(async () => {
    await telemetry.stop(0);
    store.close();
  });
  return { telemetry, twin, store, lines, reasons };
};

/** A message of the outbox that says which one it is. */
export const counts = (number: number): OutboxBody<'counts/60'> => ({
  interval_s: 60,
  from: '2026-01-01T00:00:00.000Z',
  to: '2026-01-01T00:01:00.000Z',
  complete: true,
  lines: [{ line: 'a', direction: 'in', class: 'car', count: number }],
  zones: [],
});

export const infoState = {
  device: 'camera',
  version: '0.0.0',
  started_at: '2026-01-01T00:00:00.000Z',
  lines: [],
  zones: [],
  count_intervals: [60],
};

/** The order of the first appearance of every number, and how many came more than once. */
export const firstAppearances = (
  seqs: readonly number[],
): { readonly order: readonly number[]; readonly repeated: number } => {
  const order = [...new Set(seqs)];
  return { order, repeated: seqs.length - order.length };
};
