// A device in a process of its own, to be killed: node child.js STORE CONFIG-JSON COUNT. Says each number on stdout once it is stored.
import { openStore } from '../../src/store/index.js';
import { silentLog } from '../../src/system/index.js';
import { Telemetry } from '../../src/telemetry/index.js';
import { parseConfig } from '../../src/config/index.js';
import { counts, infoState } from './device.js';

const [path = '', text = '', amount = '0'] = process.argv.slice(2);
const store = openStore(path);
const boot = store.boots.begin('0.0.0');
const telemetry = new Telemetry({
  config: parseConfig(JSON.parse(text)),
  store,
  bootId: boot.id,
  log: silentLog,
});
telemetry.publishState('info', infoState);
await telemetry.start();
for (let sent = 0; sent < Number(amount); sent += 1) {
  const seq = telemetry.enqueue('counts/60', counts(sent));
  process.stdout.write(`${seq}\n`);
  await new Promise((resolve) => (sent % 8 === 7 ? setTimeout(resolve, 1) : setImmediate(resolve)));
}
process.stdout.write('done\n');
