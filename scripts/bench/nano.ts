// YOLOX-nano as an artifact, and the pictures that the benchmarks show it.
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import sharp from 'sharp';
import { BitlaneError } from '../../src/errors.js';
import {
  type Artifact,
  createManifest,
  detectorSpecSchema,
  MANIFEST_FILE,
  MODEL_FILE,
  readArtifactFolder,
} from '../../src/registry/index.js';
import { decodeJpeg, type Picture } from '../../src/vision/index.js';

/** An artifact in a temporary folder. */
export interface TemporaryArtifact {
  readonly artifact: Artifact;
  readonly remove: () => void;
}

/** @param modelPath the ONNX file; `coco.names` lies beside it */
export const nanoArtifact = async (modelPath: string): Promise<TemporaryArtifact> => {
  const model = readFileSync(modelPath);
  const classes = readFileSync(join(dirname(modelPath), 'coco.names'), 'utf8')
    .trim()
    .split(/\r?\n/);
  const manifest = createManifest(model, {
    name: basename(modelPath, '.onnx'),
    detector: detectorSpecSchema.parse({
      input: { name: 'images', width: 416, height: 416, colourOrder: 'bgr', letterbox: 'top-left' },
      head: { type: 'yolox', output: 'output' },
      classes,
    }),
  });
  const folder = mkdtempSync(join(tmpdir(), 'bitlane-bench-'));
  const remove = (): void => rmSync(folder, { recursive: true, force: true });
  try {
    writeFileSync(join(folder, MODEL_FILE), model);
    writeFileSync(join(folder, MANIFEST_FILE), JSON.stringify(manifest));
    return { artifact: await readArtifactFolder(folder), remove };
  } catch (error) {
    remove();
    throw error;
  }
};

/** The same graph as another artifact: a further doc_string (field 6) makes other bytes, and so another id. */
export const twinOf = (artifact: Artifact): Uint8Array =>
  Buffer.concat([readFileSync(artifact.modelPath), Buffer.from([0x32, 4]), Buffer.from('twin')]);

/** Up to `limit` JPEG frames of a folder, in the order of their names. */
export const jpegFrames = (folder: string, limit: number): Picture[] => {
  const names = readdirSync(folder)
    .filter((name) => /\.jpe?g$/i.test(name))
    .sort()
    .slice(0, limit);
  if (names.length === 0) throw new BitlaneError('BAD_USAGE', `${folder} holds no JPEG files`);
  return names.map((name) => {
    const data = readFileSync(join(folder, name));
    const { width, height } = decodeJpeg(data);
    return { format: 'jpeg', width, height, data };
  });
};

/** A JPEG frame as a camera's raw frame: scaled, planar, full-range BT.601. */
export const toYuv420 = async (picture: Picture, width: number, height: number): Promise<Picture> => {
  const rgb = await sharp(picture.data).resize(width, height, { fit: 'fill' }).removeAlpha().raw().toBuffer();
  const chromaWidth = width / 2;
  const data = new Uint8ClampedArray((width * height * 3) / 2);
  const u0 = width * height;
  const v0 = u0 + (u0 >> 2);
  for (let y = 0, at = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1, at += 3) {
      const [r = 0, g = 0, b = 0] = [rgb[at], rgb[at + 1], rgb[at + 2]];
      data[y * width + x] = 0.299 * r + 0.587 * g + 0.114 * b;
      if ((x | y) & 1) continue;
      const chroma = (y >> 1) * chromaWidth + (x >> 1);
      data[u0 + chroma] = 128 - 0.168736 * r - 0.331264 * g + 0.5 * b;
      data[v0 + chroma] = 128 + 0.5 * r - 0.418688 * g - 0.081312 * b;
    }
  }
  return { format: 'yuv420', width, height, data: new Uint8Array(data.buffer), colour: 'bt601-full' };
};
