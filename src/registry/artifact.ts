// One artifact on disk: `model.onnx` and `manifest.json` in a folder; reading, checking and describing it.
import { createHash } from 'node:crypto';
import { open, readFile, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { z } from 'zod';
import { BitlaneError } from '../errors.js';
import { packageVersion } from '../system/index.js';
import { type DetectorSpec, type Manifest, manifestSchema } from './manifest.js';

export const MODEL_FILE = 'model.onnx';
export const MANIFEST_FILE = 'manifest.json';

/** Protobuf's own limit: no ONNX file is larger. */
export const MAX_MODEL_BYTES = 2 ** 31 - 1;
const MAX_MANIFEST_BYTES = 64 * 2 ** 20;

/** A model with its manifest, wherever the two lie. */
export interface Artifact {
  /** SHA-256 of the model. */
  readonly id: string;
  readonly modelPath: string;
  readonly manifestPath: string;
  readonly manifest: Manifest;
}

const MAX_REASON = 200;
const HASH_CHUNK_BYTES = 64 * 1024;

/** The first thing that a value broke, as `detector.input.width: must be ...`: one line, however the manifest's own keys read. */
const firstIssue = (error: z.ZodError): string => {
  const issue = error.issues[0];
  if (issue === undefined) return 'it does not follow the schema';
  const text = issue.path.length === 0 ? issue.message : `${issue.path.join('.')}: ${issue.message}`;
  return text.slice(0, MAX_REASON).replace(/[\p{Cc}\u2028\u2029]+/gu, ' ');
};

/** Checks a manifest's form. `what` names it in the error. */
export const parseManifest = (value: unknown, what: string): Manifest => {
  const result = manifestSchema.safeParse(value);
  if (result.success) return result.data;
  throw new BitlaneError('BAD_MODEL', `${what} is not a manifest: ${firstIssue(result.error)}`);
};

/** Size of a file. Throws `BAD_MODEL` where it is missing, no file or larger than `limit`. */
export const sizeOf = async (path: string, limit: number): Promise<number> => {
  let size: number;
  try {
    const found = await stat(path);
    if (!found.isFile()) throw new BitlaneError('BAD_MODEL', `${path} is not a file`);
    size = found.size;
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'ENOENT' || code === 'ENOTDIR') {
      throw new BitlaneError('BAD_MODEL', `${path} is missing`, { cause: error });
    }
    throw error;
  }
  if (size > limit) throw new BitlaneError('BAD_MODEL', `${path} is larger than ${limit} bytes`);
  return size;
};

/**
 * Reads a manifest file.
 *
 * @throws BitlaneError `BAD_MODEL` naming the file and the rule it breaks
 */
export const readManifest = async (path: string): Promise<Manifest> => {
  await sizeOf(path, MAX_MANIFEST_BYTES);
  let value: unknown;
  try {
    value = JSON.parse(await readFile(path, 'utf8'));
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new BitlaneError('BAD_MODEL', `${path} is not JSON: it is truncated or altered`, { cause: error });
  }
  return parseManifest(value, path);
};

/** SHA-256 of a file, lower-case hex; read in pieces, so that the event loop stays free. */
export const hashFile = async (path: string): Promise<string> => {
  const hash = createHash('sha256');
  // One buffer, so that a model of many megabytes is not garbage for the collector of a busy process.
  const buffer = Buffer.allocUnsafeSlow(HASH_CHUNK_BYTES);
  const file = await open(path, 'r');
  try {
    for (;;) {
      const { bytesRead } = await file.read(buffer, 0, buffer.length);
      if (bytesRead === 0) return hash.digest('hex');
      hash.update(buffer.subarray(0, bytesRead));
    }
  } finally {
    await file.close();
  }
};

export const hashBytes = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/** Checks that a model file is the one its manifest describes: size first, then every byte. `what` names it in the error. */
export const verifyModel = async (modelPath: string, manifest: Manifest, what = modelPath): Promise<void> => {
  const size = await sizeOf(modelPath, MAX_MODEL_BYTES);
  if (size !== manifest.modelBytes) {
    throw new BitlaneError(
      'BAD_MODEL',
      `${what} holds ${size} bytes where its manifest says ${manifest.modelBytes}: it is truncated or altered`,
    );
  }
  if ((await hashFile(modelPath)) !== manifest.id) {
    throw new BitlaneError(
      'BAD_MODEL',
      `${what} is altered: its SHA-256 is not the id in its manifest (${manifest.id.slice(0, 12)}...)`,
    );
  }
};

/**
 * Reads and verifies a model and its manifest, wherever they lie.
 *
 * @throws BitlaneError `BAD_MODEL` naming the file and the rule it breaks
 */
export const readArtifact = async (modelPath: string, manifestPath: string): Promise<Artifact> => {
  const manifest = await readManifest(manifestPath);
  await verifyModel(modelPath, manifest);
  return { id: manifest.id, modelPath, manifestPath, manifest };
};

/** Reads and verifies an artifact folder. A folder named like an id must hold that artifact. */
export const readArtifactFolder = async (folder: string): Promise<Artifact> => {
  const artifact = await readArtifact(join(folder, MODEL_FILE), join(folder, MANIFEST_FILE));
  const name = basename(folder);
  if (/^[0-9a-f]{64}$/.test(name) && name !== artifact.id) {
    throw new BitlaneError('BAD_MODEL', `${folder} holds another artifact (${artifact.id.slice(0, 12)}...)`);
  }
  return artifact;
};

/** What a new manifest needs to be told; the rest follows from the bytes. */
export interface ManifestParts {
  readonly name: string;
  readonly detector: DetectorSpec;
  readonly parentId?: string;
  readonly origin?: Manifest['origin'];
  readonly measured?: Manifest['measured'];
  readonly allocation?: Manifest['allocation'];
  readonly calibration?: Manifest['calibration'];
  readonly validation?: Manifest['validation'];
  readonly budget?: Manifest['budget'];
  readonly significance?: Manifest['significance'];
}

/** The manifest of a model that was just made. */
export const createManifest = (model: Uint8Array, parts: ManifestParts): Manifest =>
  parseManifest(
    {
      schema: 1,
      id: hashBytes(model),
      parentId: parts.parentId ?? null,
      name: parts.name,
      createdAt: new Date().toISOString(),
      createdBy: `bitlane ${packageVersion}`,
      modelBytes: model.length,
      detector: parts.detector,
      origin: parts.origin ?? {},
      measured: parts.measured ?? [],
      allocation: parts.allocation,
      calibration: parts.calibration,
      validation: parts.validation,
      budget: parts.budget,
      significance: parts.significance,
    },
    'the new manifest',
  );
