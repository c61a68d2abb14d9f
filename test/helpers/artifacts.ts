// Artifacts for tests: any bytes will do for a model, because the registry does not look into it.
import { createHash } from 'node:crypto';
import { createManifest, type DetectorSpec, type Manifest } from '../../src/registry/index.js';

export const spec: DetectorSpec = {
  input: {
    name: 'images',
    width: 416,
    height: 416,
    colourOrder: 'bgr',
    mean: [0, 0, 0],
    scale: [1, 1, 1],
    letterbox: 'top-left',
    pad: 114,
  },
  head: { type: 'yolox', output: 'output', boxes: 'raw', strides: [8, 16, 32] },
  classes: ['car', 'truck'],
};

/** Bytes that depend on `seed` alone. */
export const modelBytes = (seed: number | string, bytes = 3_000): Uint8Array => {
  const block = createHash('sha512').update(String(seed)).digest();
  return Uint8Array.from({ length: bytes }, (_, at) => (block[at % 64] ?? 0) ^ (at >> 6));
};

export interface Made {
  readonly id: string;
  readonly bytes: Uint8Array;
  readonly manifest: Manifest;
}

export const makeArtifact = (seed: number | string, bytes?: number): Made => {
  const model = modelBytes(seed, bytes);
  const manifest = createManifest(model, { name: `model ${seed}`, detector: spec });
  return { id: manifest.id, bytes: model, manifest };
};
