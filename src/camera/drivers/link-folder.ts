// The private folder in which node-libcamera finds rpicam-vid under the name that it calls.
import { mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Makes a folder only we can write to, with `libcamera-vid` in it as a link to `program`. */
export const makeLinkFolder = async (program: string): Promise<string> => {
  const folder = await mkdtemp(join(tmpdir(), 'bitlane-libcamera-'));
  await symlink(program, join(folder, 'libcamera-vid'));
  return folder;
};

export const removeLinkFolder = (folder: string): Promise<void> =>
  rm(folder, { recursive: true, force: true });
