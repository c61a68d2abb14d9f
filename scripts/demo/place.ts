// What the demo runs on: an installed model, labelled pictures of its road, a configuration.
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { BitlaneError } from '../../src/errors.js';
import { type Manifest, Registry } from '../../src/registry/index.js';
import { packageRoot, runBounded, writeFileAtomic } from '../../src/system/index.js';

export const cliScript = join(packageRoot, 'dist', 'src', 'cli', 'main.js');
export const DEVICE = 'demo';
/** To tune on, and as many to judge by. */
const PICTURES = 160;
/** The place that camera and pictures share. */
const SITE = 1;
/** Of the FP32 file. */
const BYTES_RATIO = 0.16;

/** Runs a command of bitlane. */
export const cli = async (args: readonly string[], deadlineMs: number): Promise<string> => {
  const { code, stdout, stderr } = await runBounded(process.execPath, [cliScript, ...args], { deadlineMs });
  if (code !== 0)
    throw new BitlaneError('INTERNAL', stderr.trim().replace(/^bitlane: /, '') || args.join(' '));
  return stdout;
};

export const freePort = (): Promise<number> =>
  new Promise((done, fail) => {
    const server = createServer();
    server.once('error', fail);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => done(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });

/** The artifact that ships. */
export const shippedModel = (): string => {
  const folder = join(packageRoot, 'models', 'bitlane-scene');
  if (!existsSync(join(folder, 'manifest.json')))
    throw new BitlaneError('NO_SUCH_MODEL', `${folder} holds no artifact: give one with --model`);
  return folder;
};

export interface Place {
  readonly state: string;
  readonly config: string;
  readonly watchS: number;
  readonly parentBytes: number;
  /** Most that the adapted model may take. */
  readonly budgetBytes: number;
}

const install = async (model: string, stateDir: string): Promise<Manifest> => {
  const registry = new Registry({ stateDir, purpose: 'the demo' });
  await registry.start();
  try {
    const artifact = await registry.installFolder(model);
    await registry.activate(artifact);
    return artifact.manifest;
  } finally {
    registry.stop();
  }
};

export interface PlaceOptions {
  readonly state: string;
  /** An artifact's folder. */
  readonly model: string;
  readonly watchS: number;
  /** Another broker; else one of the daemon's own on `port`. */
  readonly mqtt: string | undefined;
  readonly port: number;
}

/** Says that a folder is the demo's own. */
const MARK = 'demo.txt';
const CONFIG = 'bitlane.yaml';

/**
 * An empty folder, the demo's own. What others have put there is never removed.
 *
 * @throws BitlaneError `BAD_USAGE`
 */
const emptyState = (state: string): void => {
  if (existsSync(state) && !statSync(state).isDirectory()) {
    throw new BitlaneError('BAD_USAGE', `${state} is no folder`);
  }
  const config = join(state, CONFIG);
  const isOwn =
    existsSync(join(state, MARK)) ||
    // Of a release from before there was a mark.
    (existsSync(config) && readFileSync(config, 'utf8').startsWith(`device: ${DEVICE}\n`));
  if (!isOwn && existsSync(state) && readdirSync(state).length > 0) {
    throw new BitlaneError(
      'BAD_USAGE',
      `${state} holds something else than a demo, which begins with an empty folder: name another one, or remove it`,
    );
  }
  rmSync(state, { recursive: true, force: true });
  mkdirSync(state, { recursive: true });
  writeFileAtomic(join(state, MARK), 'State of a demo of bitlane. The next one removes this folder.\n');
};

/** Draws labelled pictures of the road that the camera watches: what is adapted to, and judged on. */
export const drawRoad = async ({ state }: Pick<Place, 'state'>): Promise<void> => {
  await cli(
    [
      ...['scene', '--out', join(state, 'road'), '--pictures', String(2 * PICTURES), '--shares', '50,50,0'],
      ...['--site', String(SITE), '--seed', '71', '--json'],
    ],
    240_000,
  );
};

/** Empties the state folder and fills it anew. */
export const prepare = async ({ state, model, watchS, mqtt, port }: PlaceOptions): Promise<Place> => {
  emptyState(state);
  const manifest = await install(model, state);
  const config = join(state, CONFIG);
  const modelBytes = Math.round(BYTES_RATIO * manifest.modelBytes);
  writeFileAtomic(
    config,
    stringify({
      device: DEVICE,
      stateDir: state,
      runtimeDir: join(state, 'run'),
      camera: { kind: 'scene', fps: 15, site: SITE },
      mqtt: mqtt === undefined ? { embeddedPort: port } : { url: mqtt },
      telemetry: { healthEverySeconds: 2 },
      lines: [{ name: 'middle', from: [0, 0.55], to: [1, 0.55], forward: 'away', backward: 'towards' }],
      counting: { intervals: [10] },
      examples: { flushSeconds: 2, reserveMb: 0 },
      confusions: { publishSeconds: 5 },
      adaptation: {
        budget: { modelBytes },
        data: { path: join(state, 'road'), tuning: 'train', validation: 'val' },
        pictures: PICTURES,
        calibrationPictures: 48,
        watch: { seconds: 10 },
      },
    }),
  );
  return { state, config, watchS, parentBytes: manifest.modelBytes, budgetBytes: modelBytes };
};
