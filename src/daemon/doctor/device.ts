// Checks of what the configuration needs: its own validity, disk, camera, clock, broker, the unit.
import { randomBytes } from 'node:crypto';
import { access, constants, readdir, readFile, stat, statfs } from 'node:fs/promises';
import { hostname } from 'node:os';
import { dirname } from 'node:path';
import { connectAsync, type IClientOptions } from 'mqtt';
import type { CameraConfigOf, Config, MqttConfig } from '../../config/index.js';
import { messageOf } from '../../errors.js';
import { Registry } from '../../registry/index.js';
import { runBounded } from '../../system/index.js';
import { type Check, fail, type Finding, ok, skip, warn } from './check.js';

const exists = async (path: string): Promise<boolean> => {
  try {
    await stat(path);
    return true;
  } catch {
    return false;
  }
};

/** The folder itself, or the nearest one above it that is there (nothing is created by looking). */
const nearestFolder = async (path: string): Promise<string> =>
  (await exists(path)) || dirname(path) === path ? path : nearestFolder(dirname(path));

const stateFolder = async (folder: string): Promise<Finding> => {
  const found = await nearestFolder(folder);
  try {
    await access(found, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch {
    return fail(
      `${found} cannot be written by this user`,
      `Run as the user bitlane, or: chown bitlane ${found}`,
    );
  }
  return found === folder ? ok(`${folder} can be written`) : ok(`${folder} is not there yet and can be made`);
};

/** Whether what is left on the file system is enough for models, counts and examples. */
export const judgeDisk = (freeBytes: number, freeFiles: number, totalFiles: number): Finding => {
  const text = `${Math.floor(freeBytes / 2 ** 20)} MB free`;
  if (freeBytes < 64 * 2 ** 20)
    return fail(text, 'Free some space: below 64 MB a model cannot be installed.');
  if (totalFiles > 0 && freeFiles < 1_000)
    return fail(`${text}, but only ${freeFiles} more files`, 'Delete small files.');
  return freeBytes < 512 * 2 ** 20
    ? warn(text, 'Free some space: below 512 MB examples are not kept for long.')
    : ok(text);
};

const disk = async (folder: string): Promise<Finding> => {
  const found = await statfs(await nearestFolder(folder));
  return judgeDisk(found.bavail * found.bsize, found.ffree, found.files);
};

/** The output of `rpicam-hello --list-cameras`: is the camera with this index there? */
export const judgeCameraList = (text: string, index: number): Finding => {
  const cameras = [...text.matchAll(/^\s*([0-9]+)\s*:\s*(\S+)/gm)];
  const found = cameras.find((match) => Number(match[1]) === index);
  if (found !== undefined) return ok(`camera ${index} is ${found[2]}`);
  return cameras.length === 0
    ? fail(
        'no camera was found',
        'Switch the device off, check both ends of the ribbon cable, and start it again.',
      )
    : fail(
        `there is no camera ${index}, but ${cameras.length} other`,
        `Set camera.camera to ${cameras[0]?.[1]}.`,
      );
};

const libcamera = async (camera: CameraConfigOf<'libcamera'>): Promise<Finding> => {
  for (const command of ['rpicam-hello', 'libcamera-hello']) {
    const result = await runBounded(command, ['--list-cameras'], { deadlineMs: 10_000 });
    if (result.outcome === 'missing') continue;
    if (result.outcome === 'timeout')
      return fail(`${command} does not answer`, 'Reboot: the camera stack is stuck.');
    return judgeCameraList(`${result.stdout}\n${result.stderr}`, camera.camera);
  }
  return fail(
    'rpicam-hello is not there',
    'apt install rpicam-apps (Raspberry Pi OS), or set camera.kind to ffmpeg.',
  );
};

const NEEDED_DEMUXERS = ['rtsp', 'mov', 'matroska', 'mjpeg', 'video4linux2'] as const;

const ffmpeg = async (camera: CameraConfigOf<'ffmpeg'>): Promise<Finding> => {
  const result = await runBounded('ffmpeg', ['-hide_banner', '-demuxers'], { deadlineMs: 10_000 });
  if (result.outcome === 'missing') return fail('ffmpeg is not there', 'apt install ffmpeg');
  const names = new Set(
    [...result.stdout.matchAll(/^\s*D\S*\s+(\S+)/gm)].flatMap((match) => match[1]?.split(',') ?? []),
  );
  const missing = NEEDED_DEMUXERS.filter((name) => !names.has(name));
  if (missing.length > 0) return warn(`ffmpeg cannot read ${missing.join(', ')}`, "Install Debian's ffmpeg.");
  if (/^[a-z]+:\/\//i.test(camera.input)) return ok('ffmpeg reads network cameras; this one was not asked');
  try {
    await access(camera.input, constants.R_OK);
    return ok(`ffmpeg is there and ${camera.input} can be read`);
  } catch (error) {
    return fail(
      `${camera.input} cannot be read: ${messageOf(error)}`,
      camera.input.startsWith('/dev/')
        ? 'Plug the camera in (v4l2-ctl --list-devices) and add the user to the group video.'
        : 'Correct camera.input.',
    );
  }
};

const replay = async (camera: CameraConfigOf<'replay'>): Promise<Finding> => {
  const advice = 'Set camera.path to a folder of .jpg files or an .mjpeg file.';
  if (!(await exists(camera.path))) return fail(`${camera.path} does not exist`, advice);
  if (!(await stat(camera.path)).isDirectory()) return ok(`${camera.path} is a file`);
  const count = (await readdir(camera.path)).filter((name) => /\.jpe?g$/i.test(name)).length;
  return count > 0
    ? ok(`${camera.path} holds ${count} pictures`)
    : fail(`${camera.path} holds no picture`, advice);
};

const camera = (config: Config['camera']): Promise<Finding> => {
  switch (config.kind) {
    case 'libcamera':
      return libcamera(config);
    case 'ffmpeg':
      return ffmpeg(config);
    case 'replay':
      return replay(config);
    case 'scene':
      return Promise.resolve(ok('the road is simulated: no camera is needed'));
  }
};

const clock = async (): Promise<Finding> => {
  const advice = 'timedatectl set-ntp true (counts carry UTC times and close on the clock).';
  const result = await runBounded('timedatectl', ['show', '--property=NTPSynchronized', '--value'], {
    deadlineMs: 5_000,
  });
  const value = result.stdout.trim();
  if (value === 'yes') return ok('the clock is synchronised');
  if (value === 'no') return warn('the clock is not synchronised', advice);
  return new Date().getUTCFullYear() < 2025
    ? fail('the clock is years behind', advice)
    : skip('this system does not tell whether its clock is synchronised');
};

const firstLine = async (path: string): Promise<string> =>
  (await readFile(path, 'utf8')).split(/\r?\n/)[0] ?? '';

const brokerOptions = async (mqtt: MqttConfig): Promise<IClientOptions> => ({
  protocolVersion: mqtt.protocolVersion,
  // Not the daemon's own id: the broker would hang up on the daemon.
  clientId: `bitlane-doctor-${randomBytes(4).toString('hex')}`,
  clean: true,
  reconnectPeriod: 0,
  connectTimeout: 8_000,
  ...(mqtt.username === undefined ? {} : { username: mqtt.username }),
  ...(mqtt.passwordFile === undefined ? {} : { password: await firstLine(mqtt.passwordFile) }),
  ...(mqtt.caFile === undefined ? {} : { ca: await readFile(mqtt.caFile) }),
  ...(mqtt.certFile === undefined ? {} : { cert: await readFile(mqtt.certFile) }),
  ...(mqtt.keyFile === undefined ? {} : { key: await readFile(mqtt.keyFile) }),
});

/** The address without what may be secret in it. */
const showUrl = (text: string): string => {
  const url = new URL(text);
  return `${url.protocol}//${url.host}`;
};

const broker = async (mqtt: MqttConfig): Promise<Finding> => {
  if (mqtt.embeddedPort !== undefined) {
    return ok(`the daemon runs a broker of its own on port ${mqtt.embeddedPort}, for this device only`);
  }
  if (mqtt.url === undefined) return skip('no broker is configured: nothing leaves the device');
  const shown = showUrl(mqtt.url);
  let options: IClientOptions;
  try {
    options = await brokerOptions(mqtt);
  } catch (error) {
    return fail(
      `a credential cannot be read: ${messageOf(error)}`,
      'Files below /run/credentials exist only for the running service; give others the path of the file itself.',
    );
  }
  try {
    const client = await connectAsync(mqtt.url, options, false);
    await client.endAsync(true);
  } catch (error) {
    return fail(
      `${shown} refused or is away: ${messageOf(error) || 'no answer'}`,
      'Check the address, the network, the certificate and the password. Counts are kept until the broker is back.',
    );
  }
  return mqtt.username !== undefined &&
    /^(mqtt|ws):/.test(mqtt.url) &&
    !/\/\/(localhost|127\.)/.test(mqtt.url)
    ? warn(
        `${shown} accepts us, but the password goes over the network in the clear`,
        'Use mqtts:// or wss://.',
      )
    : ok(`${shown} accepts us`);
};

/** What `systemctl show` says of the unit. */
export const judgeUnit = (text: string): Finding => {
  const field = (key: string): string => new RegExp(`^${key}=(.*)$`, 'm').exec(text)?.[1] ?? '';
  if (field('LoadState') !== 'loaded') return skip('bitlane.service is not installed here');
  const state = `bitlane.service is ${field('ActiveState')} (${field('SubState')}), ${field('NRestarts')} restarts`;
  if (field('ActiveState') === 'active') {
    return Number(field('NRestarts')) > 0
      ? warn(state, 'journalctl -u bitlane -p warning tells why.')
      : ok(state);
  }
  return field('ActiveState') === 'failed'
    ? fail(`${state}: ${field('Result')}`, 'journalctl -u bitlane -n 50 tells why.')
    : warn(state, 'systemctl enable --now bitlane starts it.');
};

const unit = async (): Promise<Finding> => {
  const result = await runBounded(
    'systemctl',
    ['show', 'bitlane.service', '--property=LoadState,ActiveState,SubState,NRestarts,Result'],
    { deadlineMs: 5_000 },
  );
  return result.outcome === 'exit' && result.code === 0
    ? judgeUnit(result.stdout)
    : skip(`systemd does not run on ${hostname()}`);
};

/** Whether there is a model to serve, and whether it is whole. */
const model = async ({ stateDir, model: wanted }: Config): Promise<Finding> => {
  const registry = new Registry({ stateDir, readOnly: true });
  try {
    await registry.start();
    const id = registry.active ?? wanted;
    if (id === undefined) {
      return fail(
        `no model is installed in ${registry.folder}`,
        'Make one: bitlane models import FILE.onnx --head ... --names ...',
      );
    }
    const { manifest } = await registry.verify(id);
    return ok(`${manifest.name} (${id.slice(0, 12)}) is whole`);
  } catch (error) {
    return fail(messageOf(error), 'Import it again: bitlane models import --help');
  } finally {
    registry.stop();
  }
};

export const deviceChecks = (config: Config): readonly Check[] => [
  { name: 'state-folder', deadlineMs: 3_000, run: () => stateFolder(config.stateDir) },
  { name: 'disk', deadlineMs: 3_000, run: () => disk(config.stateDir) },
  { name: 'model', deadlineMs: 60_000, run: () => model(config) },
  { name: 'camera', deadlineMs: 25_000, run: () => camera(config.camera) },
  { name: 'broker', deadlineMs: 15_000, run: () => broker(config.mqtt) },
];

/** Checks that need no configuration. */
export const hostChecks: readonly Check[] = [
  { name: 'clock', deadlineMs: 8_000, run: clock },
  { name: 'service', deadlineMs: 8_000, run: unit },
];
