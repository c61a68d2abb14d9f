// A bare ONNX file becomes an artifact: looked at, tried in a process of its own, described, written.
import { mkdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { randomBytes } from 'node:crypto';
import { basename, dirname, join, resolve } from 'node:path';
import { BitlaneError, messageOf } from '../errors.js';
import {
  type Artifact,
  createManifest,
  type Manifest,
  MANIFEST_FILE,
  MAX_MODEL_BYTES,
  MODEL_FILE,
  readArtifactFolder,
  Registry,
} from '../registry/index.js';
import { fsyncDirectory, writeFileAtomic } from '../system/index.js';
import type { ModelProbe } from './probe.js';
import { type ModelHints, modelHintsSchema } from './probe-messages.js';

export interface ImportRequest {
  /** The ONNX file. */
  readonly file: string;
  readonly hints: ModelHints;
  /** The file's name without its ending, when left out. */
  readonly name?: string;
  readonly origin?: Manifest['origin'];
}

/** A model that can be served, with what was found out about it. */
export interface ImportedModel {
  readonly bytes: Uint8Array;
  readonly manifest: Manifest;
  /** One run on a grey picture, milliseconds. */
  readonly inferenceMs: number;
}

const MESSAGES: Readonly<Record<string, string>> = {
  ENOENT: 'does not exist',
  EACCES: 'may not be read',
};

const readModel = async (file: string): Promise<Uint8Array> => {
  try {
    const found = await stat(file);
    if (!found.isFile()) throw new BitlaneError('BAD_MODEL', `${file} is not a file`);
    if (found.size === 0) throw new BitlaneError('BAD_MODEL', `${file} is empty`);
    if (found.size > MAX_MODEL_BYTES) {
      throw new BitlaneError('BAD_MODEL', `${file} is larger than ${MAX_MODEL_BYTES} bytes`);
    }
    return await readFile(file);
  } catch (error) {
    if (error instanceof BitlaneError) throw error;
    const code = String((error as NodeJS.ErrnoException).code ?? '');
    throw new BitlaneError(
      'BAD_MODEL',
      `${file} ${MESSAGES[code] ?? `cannot be read: ${messageOf(error)}`}`,
      {
        cause: error,
      },
    );
  }
};

const checkHints = (hints: ModelHints): ModelHints => {
  const parsed = modelHintsSchema.safeParse(hints);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw new BitlaneError(
    'BAD_USAGE',
    `${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'is not understood'}`,
  );
};

/**
 * Makes the artifact of a bare ONNX file; writes nothing.
 * @throws BitlaneError `BAD_MODEL` when it cannot be served, `BAD_USAGE` when the hints break a rule
 */
export const importModel = async (request: ImportRequest, probe: ModelProbe): Promise<ImportedModel> => {
  const { file, origin } = request;
  const hints = checkHints(request.hints);
  const bytes = await readModel(file);
  const served = await probe.probe({ model: resolve(file), about: { hints } }, file);
  const manifest = createManifest(bytes, {
    name: request.name ?? basename(file).replace(/\.onnx$/i, ''),
    detector: served.detector,
    ...(origin === undefined ? {} : { origin }),
  });
  if (manifest.id !== served.id) {
    throw new BitlaneError('BAD_MODEL', `${file} was changed while it was read: try again`);
  }
  return { bytes, manifest, inferenceMs: served.inferenceMs };
};

/** Installs an imported model under `stateDir`. */
export const installImported = async (
  { bytes, manifest }: ImportedModel,
  stateDir: string,
): Promise<{ artifact: Artifact; active: boolean; notices: readonly string[] }> => {
  const registry = new Registry({ stateDir, purpose: 'bitlane models import' });
  try {
    const notices = await registry.start();
    const artifact = await registry.install(bytes, manifest);
    return { artifact, active: registry.active === artifact.id, notices };
  } finally {
    registry.stop();
  }
};

/**
 * Writes an imported model as an artifact folder, in one step.
 * @param folder must not be there, or be empty
 * @throws BitlaneError `BAD_USAGE` when something is there; `STORE_FAILED` when it cannot be written
 */
export const writeImported = async (
  { bytes, manifest }: ImportedModel,
  folder: string,
): Promise<Artifact> => {
  const target = resolve(folder);
  const incoming = join(dirname(target), `.incoming-${randomBytes(8).toString('hex')}`);
  try {
    await mkdir(dirname(target), { recursive: true });
    await mkdir(incoming, { mode: 0o750 });
    writeFileAtomic(join(incoming, MODEL_FILE), bytes);
    writeFileAtomic(join(incoming, MANIFEST_FILE), `${JSON.stringify(manifest, null, 2)}\n`);
    await rename(incoming, target);
    fsyncDirectory(dirname(target));
    return await readArtifactFolder(target);
  } catch (error) {
    await rm(incoming, { recursive: true, force: true });
    if (error instanceof BitlaneError) throw error;
    const code = String((error as NodeJS.ErrnoException).code ?? '');
    throw ['ENOTEMPTY', 'EEXIST', 'ENOTDIR'].includes(code)
      ? new BitlaneError('BAD_USAGE', `${folder} is there already: an artifact goes into a new folder`)
      : new BitlaneError('STORE_FAILED', `${folder} cannot be written: ${messageOf(error)}`, {
          cause: error,
        });
  }
};

/**
 * Runs an artifact as it describes itself.
 * @returns one run on a grey picture, milliseconds
 * @throws BitlaneError `BAD_MODEL` when it cannot be served
 */
export const tryArtifact = async (artifact: Artifact, probe: ModelProbe): Promise<number> => {
  const { detector, name } = artifact.manifest;
  const { id, inferenceMs } = await probe.probe(
    { model: resolve(artifact.modelPath), about: { detector } },
    `${name} (${artifact.id.slice(0, 12)})`,
  );
  if (id === artifact.id) return inferenceMs;
  throw new BitlaneError('BAD_MODEL', `${artifact.modelPath} was changed while it was read: try again`);
};
