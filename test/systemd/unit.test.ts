import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { parse } from 'yaml';
import { configSchema } from '../../src/config/schema.js';
import { packageRoot } from '../../src/system/index.js';

const folder = join(packageRoot, 'systemd');
const unit = readFileSync(join(folder, 'bitlane.service'), 'utf8');
const valuesOf = (key: string): string[] =>
  [...unit.matchAll(new RegExp(`^${key}=(.*)$`, 'gm'))].map((match) => match[1] ?? '');

const analyze = spawnSync(
  'systemd-analyze',
  ['security', '--offline=true', '--no-pager', join(folder, 'bitlane.service')],
  { encoding: 'utf8' },
);
const skip = analyze.error === undefined ? false : 'systemd-analyze is missing';

t.test('the exposure that systemd computes is 2.0 or less', { skip }, async (t) => {
  const exposure = Number(/exposure level for bitlane\.service: ([0-9.]+)/.exec(analyze.stdout)?.[1]);
  t.ok(exposure <= 2, `exposure ${exposure}`);
});

t.test('the unit restarts for ever and is watched', async (t) => {
  t.same(valuesOf('Type'), ['notify']);
  t.same(valuesOf('Restart'), ['always']);
  t.same(valuesOf('StartLimitIntervalSec'), ['0']);
  t.ok(Number(valuesOf('WatchdogSec')[0]) > 0);
  t.same(valuesOf('OOMPolicy'), ['continue']);
});

t.test('what would stop Node or hide the cameras is off, with its reason', async (t) => {
  for (const key of [
    'MemoryDenyWriteExecute',
    'PrivateDevices',
    'PrivateNetwork',
    'PrivateUsers',
    'ProcSubset',
  ]) {
    t.same(valuesOf(key), [], key);
    t.match(unit, new RegExp(`^# .*${key}.*: `, 'm'), `${key} has a reason`);
  }
});

t.test('the configuration that is installed is valid', async (t) => {
  const parsed = configSchema.safeParse(parse(readFileSync(join(folder, 'bitlane.yaml'), 'utf8')));
  t.same(parsed.error?.issues ?? [], []);
});

t.test('its examples are valid too', async (t) => {
  // The lines that begin with "# key:" or "#  " are YAML once the mark is gone; the Pi camera makes way for the other one.
  const text = readFileSync(join(folder, 'bitlane.yaml'), 'utf8')
    .replace(/^camera:\n(?: {2}.*\n)+/m, '')
    .replace(/^# ((?:camera|lines|masks|mqtt):| {2})/gm, '$1');
  const config = configSchema.parse(parse(text));
  t.equal(config.camera.kind, 'ffmpeg');
  t.equal(config.lines.length, 1);
  t.equal(config.masks.length, 1);
  t.equal(config.mqtt.passwordFile, '/run/credentials/bitlane.service/bitlane_mqtt-password');
});

t.test('the credentials folder that the unit loads is made at boot', async (t) => {
  const path = /^bitlane:(.+)$/.exec(valuesOf('LoadCredential')[0] ?? '')?.[1];
  t.equal(path, '/etc/bitlane/credentials');
  t.match(readFileSync(join(folder, 'tmpfiles.conf'), 'utf8'), `d ${path} 0700 root root`);
});
