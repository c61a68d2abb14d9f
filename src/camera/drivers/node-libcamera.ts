// A Raspberry Pi camera through node-libcamera: raw frames over a loopback socket.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { delimiter } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { CameraConfigOf } from '../../config/index.js';
import { BitlaneError, messageOf } from '../../errors.js';
import { hasExited } from '../../system/index.js';
import { howItEnded, LastLines } from '../child-output.js';
import { GRACE_MS } from '../child-run.js';
import type { Driver, Run, Sink } from '../driver.js';
import { yuvReader } from '../frame-reader.js';
import { isPeerInGroup } from '../peer.js';
import { childEnvironment } from '../programs.js';
import { pumpNewest } from '../pump.js';
import { cutterFor, videoOptions } from './libcamera-options.js';
import { makeLinkFolder, removeLinkFolder } from './link-folder.js';
import { findVideoProgram } from './rpicam-vid.js';

const HOST = fileURLToPath(new URL('./node-libcamera-host.js', import.meta.url));

const listen = async (server: Server): Promise<number> => {
  server.listen({ host: '127.0.0.1', port: 0, backlog: 1 });
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') {
    throw new BitlaneError('CAMERA_FAILED', 'no loopback port could be had for the camera');
  }
  return address.port;
};

class LoopbackRun implements Run {
  readonly #config: CameraConfigOf<'libcamera'>;
  readonly #environment: NodeJS.ProcessEnv;
  readonly #sink: Sink;
  readonly #server = createServer({ pauseOnConnect: true });
  readonly #opening: Promise<void>;
  #folder: string | undefined;
  #host: ChildProcess | undefined;
  #socket: Socket | undefined;
  /** Settled when nothing more comes from the connections that were made. */
  #reading: Promise<unknown> = Promise.resolve();
  #stopped = false;

  constructor(config: CameraConfigOf<'libcamera'>, environment: NodeJS.ProcessEnv, sink: Sink) {
    this.#config = config;
    this.#environment = environment;
    this.#sink = sink;
    this.#opening = this.#open().catch((error: unknown) => sink.failed(messageOf(error)));
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#opening;
    this.#server.close();
    this.#socket?.destroy();
    if (this.#host !== undefined) await this.#endHost(this.#host);
    if (this.#folder !== undefined) await removeLinkFolder(this.#folder);
  }

  async #open(): Promise<void> {
    const program = await findVideoProgram(this.#environment);
    const folder = (this.#folder = await makeLinkFolder(program));
    const port = await listen(this.#server);
    if (this.#stopped) return;
    const environment = childEnvironment(this.#environment, {
      PATH: [folder, this.#environment['PATH'] ?? ''].join(delimiter),
      // node-libcamera collects all that is said and kills the camera after 1 MB of it.
      LIBCAMERA_LOG_LEVELS: '*:ERROR',
    });
    const options = videoOptions(this.#config, `tcp://127.0.0.1:${port}`);
    // The leader of a group of its own, so that one signal reaches the shell and the camera program too. Not `spawnOwned`: the
    // kernel would kill the host alone and leave the camera running; the host ends the group itself when its stdin closes.
    const host = spawn(process.execPath, [HOST, JSON.stringify(options)], {
      env: environment,
      stdio: ['pipe', 'ignore', 'pipe'],
      detached: true,
    });
    this.#host = host;
    host.stdin.on('error', () => undefined);
    const lines = new LastLines();
    lines.read(host.stderr);
    host.once('error', (error) => this.#sink.failed(`node-libcamera could not be started: ${error.message}`));
    host.once('close', (code, signal) => {
      // What the camera program sent before it ended is still on its way.
      void this.#reading.then(() => this.#sink.failed(howItEnded('node-libcamera', code, signal, lines)));
    });
    this.#server.on('error', (error) => this.#sink.failed(`the camera's socket failed: ${error.message}`));
    this.#server.on('connection', (socket) => {
      this.#reading = Promise.all([this.#reading, this.#accept(socket, port, host)]);
    });
  }

  /** Takes the first connection that comes from our own camera program, and no other. */
  async #accept(socket: Socket, port: number, host: ChildProcess): Promise<void> {
    socket.on('error', () => undefined);
    const ours =
      host.pid !== undefined &&
      (await isPeerInGroup(port, socket.remotePort ?? 0, host.pid).catch(() => false));
    if (!ours || this.#stopped || this.#socket !== undefined) {
      socket.destroy();
      return;
    }
    this.#socket = socket;
    this.#server.close();
    await pumpNewest(socket, yuvReader(cutterFor(this.#config), 'bt601-full'), this.#sink);
  }

  async #endHost(host: ChildProcess): Promise<void> {
    const { pid } = host;
    if (pid === undefined) return;
    const signalGroup = (signal: NodeJS.Signals): void => {
      try {
        process.kill(-pid, signal);
      } catch {
        // The group is gone.
      }
    };
    if (!hasExited(host)) {
      const gone = once(host, 'exit');
      host.stdin?.end();
      // A host that is still starting has begun nothing and ends at once.
      signalGroup('SIGTERM');
      const timer = setTimeout(signalGroup, 2 * GRACE_MS, 'SIGKILL');
      await gone;
      clearTimeout(timer);
    }
    // A host that was killed could not take the camera program with it.
    signalGroup('SIGKILL');
    host.stdin?.destroy();
    host.stderr?.destroy();
  }
}

export const nodeLibcameraDriver = (
  config: CameraConfigOf<'libcamera'>,
  environment: NodeJS.ProcessEnv,
): Driver => ({
  size: { width: config.width, height: config.height },
  frameMs: 1000 / config.fps,
  start: (sink) => new LoopbackRun(config, environment, sink),
});
