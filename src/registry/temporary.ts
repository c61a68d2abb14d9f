// An artifact for the length of some work: what is judged or timed is served from a folder like any other.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { writeFileAtomic } from '../system/index.js';
import {
  type Artifact,
  createManifest,
  MANIFEST_FILE,
  type ManifestParts,
  MODEL_FILE,
  readArtifactFolder,
} from './artifact.js';

/** Hands a model to `work` as an artifact in a temporary folder, which is gone afterwards. */
export const withTemporaryArtifact = async <T>(
  bytes: Uint8Array,
  { name, detector }: Pick<ManifestParts, 'name' | 'detector'>,
  work: (artifact: Artifact) => Promise<T>,
): Promise<T> => {
  const folder = mkdtempSync(join(tmpdir(), 'bitlane-artifact-'));
  try {
    writeFileAtomic(join(folder, MODEL_FILE), bytes);
    writeFileAtomic(join(folder, MANIFEST_FILE), JSON.stringify(createManifest(bytes, { name, detector })));
    return await work(await readArtifactFolder(folder));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
};
