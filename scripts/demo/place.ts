// What the demo runs on: an installed model, labelled pictures of its road, a configuration.
import { existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { BitlaneError } from '../../src/errors.js';
import { type Manifest, Registry } from '../../src/registry/index.js';
import { packageRoot, runBounded, writeFileAtomic } from '../../src/system/index.js';
import { tell } from './say.js';

export const cliScript = join(packageRoot, 'dist', 'src', 'cli', 'main.js');
export const DEVICE = 'demo';
const PICTURES = { tuning: 160, validation: 160 } as const;
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
  const models = join(packageRoot, 'models');
  const name = readdirSync(models).find((entry) => existsSync(join(models, entry, 'manifest.json')));
  if (name === undefined)
    throw new BitlaneError('NO_SUCH_MODEL', 'models/ holds no artifact: give one with --model');
  return join(models, name);
};

export interface Place {
  readonly state: string;
  readonly config: string;
  readonly watchS: number;
  readonly parentBytes: number;
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

/** Empties the state folder and fills it anew. */
export const prepare = async ({ state, model, watchS, mqtt, port }: PlaceOptions): Promise<Place> => {
  rmSync(state, { recursive: true, force: true });
  mkdirSync(state, { recursive: true });
  const manifest = await install(model, state);
  tell('pictures of this road, with labels, are drawn: what it adapts to and is judged on');
  const pictures = PICTURES.tuning + PICTURES.validation;
  await cli(
    ['scene', '--out', join(state, 'road'), '--pictures', String(pictures), '--seed', '71', '--json'],
    120_000,
  );
  const config = join(state, 'bitlane.yaml');
  writeFileAtomic(
    config,
    stringify({
      device: DEVICE,
      stateDir: state,
      runtimeDir: join(state, 'run'),
      camera: { kind: 'scene', fps: 15 },
      mqtt: mqtt === undefined ? { embeddedPort: port } : { url: mqtt },
      telemetry: { healthEverySeconds: 2 },
      lines: [{ name: 'middle', from: [0, 0.55], to: [1, 0.55], forward: 'away', backward: 'towards' }],
      counting: { intervals: [10] },
      examples: { flushSeconds: 2, reserveMb: 0 },
      confusions: { publishSeconds: 5 },
      adaptation: {
        budget: { modelBytes: Math.round(BYTES_RATIO * manifest.modelBytes) },
        data: { path: join(state, 'road'), tuning: 'train', validation: 'val' },
        pictures: PICTURES.tuning,
        calibrationPictures: 48,
        watch: { seconds: 10 },
      },
    }),
  );
  return { state, config, watchS, parentBytes: manifest.modelBytes };
};
