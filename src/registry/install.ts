// Puts an artifact into a folder of artifacts: written beside, verified, fsynced, renamed. Killed at any point, it leaves no torn one.
import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { chmod, copyFile, mkdir, open, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { syncDirectory } from '../system/index.js';
import { MANIFEST_FILE, MODEL_FILE, readManifest, verifyModel } from './artifact.js';
import type { Manifest } from './manifest.js';

/** Where a model comes from: a file, or its bytes. */
export type ModelSource = string | Uint8Array;

/** Folders named like this are on their way in or out; no reader looks at them. */
const LEFTOVER = /^(\.(incoming|outgoing)-[0-9a-f]+|\.[0-9a-f]{12}\.tmp)$/;

const passingName = (prefix: '.incoming-' | '.outgoing-'): string =>
  `${prefix}${randomBytes(8).toString('hex')}`;

const fsyncFile = async (path: string): Promise<void> => {
  const file = await open(path, 'r+');
  try {
    await file.sync();
  } finally {
    await file.close();
  }
};

/**
 * Installs a model under `folder/<id>`. What stands there already is moved out of the way first: the caller has found it broken.
 *
 * @throws BitlaneError `BAD_MODEL` when the copy is not what the manifest says; what the file system says otherwise. Nothing is
 * left behind in either case.
 */
export const writeArtifact = async (
  folder: string,
  model: ModelSource,
  manifest: Manifest,
): Promise<void> => {
  const incoming = join(folder, passingName('.incoming-'));
  const target = join(folder, manifest.id);
  try {
    await mkdir(incoming, { mode: 0o750 });
    const modelPath = join(incoming, MODEL_FILE);
    if (typeof model === 'string') {
      await copyFile(model, modelPath, constants.COPYFILE_EXCL);
      await chmod(modelPath, 0o640);
    } else await writeFile(modelPath, model, { flag: 'wx', mode: 0o640 });
    const manifestPath = join(incoming, MANIFEST_FILE);
    await writeFile(manifestPath, `${JSON.stringify(manifest, null, 2)}\n`, { flag: 'wx', mode: 0o640 });
    await fsyncFile(modelPath);
    await fsyncFile(manifestPath);
    await syncDirectory(incoming);
    await readManifest(manifestPath);
    await verifyModel(modelPath, manifest, typeof model === 'string' ? model : 'the model');
    await moveOut(folder, manifest.id);
    await rename(incoming, target);
    await syncDirectory(folder);
  } catch (error) {
    await rm(incoming, { recursive: true, force: true });
    throw error;
  }
};

/** Removes `folder/<id>` in one step for every reader; the bytes go after that. Does nothing when there is none. */
export const moveOut = async (folder: string, id: string): Promise<void> => {
  const outgoing = join(folder, passingName('.outgoing-'));
  try {
    await rename(join(folder, id), outgoing);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error;
  }
  await syncDirectory(folder);
  await rm(outgoing, { recursive: true, force: true });
};

/** Removes what killed writers left behind. Only for the holder of the lock. */
export const sweepLeftovers = async (folder: string): Promise<number> => {
  const left = (await readdir(folder)).filter((name) => LEFTOVER.test(name));
  for (const name of left) await rm(join(folder, name), { recursive: true, force: true });
  return left.length;
};
