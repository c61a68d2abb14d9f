// What a user may call a model: an artifact folder, an `.onnx` file with its manifest beside it, or the id of an installed one.
import { existsSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { BitlaneError } from '../errors.js';
import { type Artifact, MANIFEST_FILE, readArtifact, readArtifactFolder } from './artifact.js';
import { ArtifactFolder } from './folder.js';

/** `NAME.manifest.json`, else `manifest.json`, beside `NAME.onnx`. */
const manifestBeside = (modelPath: string): string | undefined =>
  [modelPath.replace(/\.onnx$/i, '.manifest.json'), join(dirname(modelPath), MANIFEST_FILE)].find((path) =>
    existsSync(path),
  );

/**
 * Finds and verifies the model that `argument` stands for: an artifact folder, an `.onnx` file with `NAME.manifest.json` or
 * `manifest.json` beside it, or six or more digits of the id of an artifact installed under `stateDir`.
 *
 * @throws BitlaneError `BAD_MODEL` when it is broken or has no manifest, `NO_SUCH_MODEL` when there is nothing of that name
 */
export const resolveModel = async (
  argument: string,
  options: { readonly stateDir?: string } = {},
): Promise<Artifact> => {
  const path = resolve(argument);
  const found = statSync(path, { throwIfNoEntry: false });
  if (found?.isDirectory() === true) return readArtifactFolder(path);
  if (found?.isFile() === true) {
    const manifestPath = manifestBeside(path);
    if (manifestPath === undefined) {
      throw new BitlaneError(
        'BAD_MODEL',
        `${argument} has no manifest beside it: make an artifact with \`bitlane models import ${argument}\``,
      );
    }
    return readArtifact(path, manifestPath);
  }
  if (options.stateDir !== undefined && /^[0-9a-f]{6,64}$/i.test(argument)) {
    const folder = new ArtifactFolder(join(options.stateDir, 'models'));
    return folder.verify(await folder.find(argument));
  }
  throw new BitlaneError(
    'NO_SUCH_MODEL',
    `${argument} is no artifact folder, no .onnx file and no id of an installed artifact (at least six digits)`,
  );
};
