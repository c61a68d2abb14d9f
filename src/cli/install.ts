// Installs a model that was just made: by the running daemon, or into the registry itself where none runs.
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ImportedModel, installImported, writeImported } from '../detector/index.js';
import { MANIFEST_FILE, MODEL_FILE } from '../registry/index.js';
import { ask, askToInstall } from './ask.js';
import type { Cli } from './cli.js';
import { becomeOwner, type Place } from './place.js';

/** Where the daemon can read a copy: under systemd it has a `/tmp` of its own, but always its state folder. */
const stagingFolder = ({ stateDir }: Place): string => {
  try {
    return mkdtempSync(join(stateDir, '.import-'));
  } catch {
    return mkdtempSync(join(tmpdir(), 'bitlane-import-'));
  }
};

/** Installs a model under the state folder. A running daemon owns the registry: it is asked to install a copy. */
export const install = async (
  cli: Cli,
  place: Place,
  model: ImportedModel,
  askDaemon: boolean,
): ReturnType<typeof installImported> => {
  becomeOwner(place.stateDir);
  if (!askDaemon) return installImported(model, place.stateDir);
  const folder = stagingFolder(place);
  try {
    // The daemon runs as another user.
    chmodSync(folder, 0o755);
    const copy = join(folder, 'artifact');
    await writeImported(model, copy);
    chmodSync(copy, 0o755);
    for (const name of [MODEL_FILE, MANIFEST_FILE]) chmodSync(join(copy, name), 0o644);
    if (!(await askToInstall(cli, place, copy))) return await installImported(model, place.stateDir);
    const list = await ask(cli, place, 'model/list');
    const { id } = model.manifest;
    const at = join(place.stateDir, 'models', id);
    return {
      artifact: {
        id,
        manifest: model.manifest,
        modelPath: join(at, MODEL_FILE),
        manifestPath: join(at, MANIFEST_FILE),
      },
      active: list?.active === id,
      notices: [],
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
};
