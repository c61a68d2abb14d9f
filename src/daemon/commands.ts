// What can be asked of the running daemon, over MQTT and the control socket.
import { z } from 'zod';
import { BitlaneError } from '../errors.js';
import { artifactIdSchema, type Registry } from '../registry/index.js';
import type { RootLog } from '../system/index.js';
import { type CommandRegistry, type CommandResult, defineCommand } from '../telemetry/index.js';
import type { Config } from '../config/index.js';
import type { Eye } from './eye.js';
import { findModel, listModels } from './installed.js';
import type { Masks } from './masks.js';
import type { ModelService } from './models.js';
import { makeSnapshot } from './snapshot.js';

export interface CommandParts {
  readonly registry: Registry;
  readonly models: ModelService;
  readonly eye: Eye;
  readonly masks: Masks;
  readonly rootLog: RootLog;
  /** The configuration in force. */
  readonly config: () => Config;
}

const FIRST_FRAME_MS = 25_000;

/** Over the control socket only: it names a folder of this device. */
export const MODEL_INSTALL = defineCommand({
  name: 'model/install',
  description: 'Installs a copy of an artifact folder on this device; does not activate it.',
  request: z.strictObject({ folder: z.string().min(1).max(4096).regex(/^\//, 'must be an absolute path') }),
  response: z.strictObject({ id: artifactIdSchema }),
  timeoutMs: 60_000,
  local: true,
});

export const addCommands = (commands: CommandRegistry, parts: CommandParts): void => {
  const { registry, models, eye, masks, rootLog, config } = parts;

  const serving = (): CommandResult<'model/use'> => {
    const { artifact, generations } = models;
    if (artifact === undefined) throw new BitlaneError('NO_SUCH_MODEL', 'no model is active');
    return { active: artifact.id, previous: registry.previous, generation: generations };
  };

  commands.handle('model/list', () => listModels(registry));

  commands.handle('model/use', async ({ model }) => {
    await models.use(await findModel(registry, model));
    return serving();
  });

  commands.handle('model/rollback', async () => {
    await models.rollback();
    return serving();
  });

  commands.handle('model/remove', async ({ model }) => {
    const removed = await findModel(registry, model);
    await registry.remove(removed);
    return { removed };
  });

  commands.handle('snapshot', async ({ width, quality }) => {
    if (!config().telemetry.snapshots) {
      throw new BitlaneError(
        'UNSUPPORTED',
        'snapshots are off: set telemetry.snapshots in the configuration of the device',
      );
    }
    const frame = eye.newest;
    if (frame === undefined) throw new BitlaneError('CAMERA_FAILED', 'there is no frame yet');
    const { receivedAtMs: _received, wallMs, seq: _seq, ...picture } = frame;
    const made = await makeSnapshot({ picture, masks: masks.over(frame), width, quality });
    return {
      content_type: 'image/jpeg',
      taken_at: new Date(wallMs).toISOString(),
      width: made.width,
      height: made.height,
      data: Buffer.from(made.jpeg).toString('base64'),
    };
  });

  commands.handle('camera/restart', async () => ({
    first_frame_ms: Math.round(await eye.restart(FIRST_FRAME_MS)),
  }));

  commands.handle('log/level', ({ level }) => {
    const previous = rootLog.level;
    if (level !== undefined) rootLog.level = level;
    return { level: rootLog.level, previous };
  });

  commands.register(MODEL_INSTALL, async ({ folder }) => ({ id: (await registry.installFolder(folder)).id }));
};
