// YOLOX-nano, until bitlane ships a model of its own: where it can be had, what its bytes must be, how it is described.
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { dirname } from 'node:path';
import { BitlaneError, messageOf } from '../src/errors.js';
import { hashFile } from '../src/registry/index.js';
import { fsyncDirectory } from '../src/system/index.js';
import { sharedData } from './test-data.js';

/** YOLOX (Megvii, Apache-2.0), as committed in a public repository at a fixed commit. */
export const YOLOX_NANO = {
  url: 'https://raw.githubusercontent.com/Kazuhito00/YOLOX-ONNX-TFLite-Sample/3d4f1119d0694200671c08069ecb847aa0d8495a/model/yolox_nano.onnx',
  sha256: '695e750a5d5754bb5a8d5325643b59282191a7e7a564e435a415fd3c578eab14',
  bytes: 3_660_092,
  licence: 'Apache-2.0',
} as const;

/** What the model's 80 outputs mean: the categories of COCO, in order. */
export const COCO_CLASSES: readonly string[] = (
  'person,bicycle,car,motorcycle,airplane,bus,train,truck,boat,traffic light,fire hydrant,stop sign,parking meter,bench,bird,cat,dog,' +
  'horse,sheep,cow,elephant,bear,zebra,giraffe,backpack,umbrella,handbag,tie,suitcase,frisbee,skis,snowboard,sports ball,kite,' +
  'baseball bat,baseball glove,skateboard,surfboard,tennis racket,bottle,wine glass,cup,fork,knife,spoon,bowl,banana,apple,sandwich,' +
  'orange,broccoli,carrot,hot dog,pizza,donut,cake,chair,couch,potted plant,bed,dining table,toilet,tv,laptop,mouse,remote,keyboard,' +
  'cell phone,microwave,oven,toaster,sink,refrigerator,book,clock,vase,scissors,teddy bear,hair drier,toothbrush'
).split(',');

const CONNECT_MS = 20_000;
const STALL_MS = 30_000;

/** The file in the test data, where that is there. */
export const localCopy = (): string | undefined => sharedData('models', 'yolox-nano', 'yolox_nano.onnx');

/** Whether a file is there, byte for byte. */
export const isThere = async (source: Source, target: string): Promise<boolean> =>
  existsSync(target) && (await hashFile(target)) === source.sha256;

export interface Source {
  readonly url: string;
  readonly sha256: string;
  readonly bytes: number;
}

/**
 * Fetches a file to `target`: written beside, checked, fsynced, renamed. A file that is there already and whole is kept.
 *
 * @param onProgress bytes so far
 * @throws BitlaneError `UNREACHABLE` when it cannot be fetched, `BAD_MODEL` when its bytes are others than expected
 */
export const fetchFile = async (
  source: Source,
  target: string,
  onProgress: (bytes: number) => void = () => undefined,
): Promise<void> => {
  if (await isThere(source, target)) return;
  mkdirSync(dirname(target), { recursive: true });
  const part = `${target}.part`;
  try {
    const size = await download(source, part, onProgress);
    const found = await hashFile(part);
    if (size !== source.bytes || found !== source.sha256) {
      throw new BitlaneError(
        'BAD_MODEL',
        `${source.url} delivered ${size} bytes with SHA-256 ${found.slice(0, 12)}..., not the ${source.bytes} bytes with ${source.sha256.slice(0, 12)}... that were expected`,
      );
    }
    renameSync(part, target);
    fsyncDirectory(dirname(target));
  } finally {
    rmSync(part, { force: true });
  }
};

const download = async (
  source: Source,
  part: string,
  onProgress: (bytes: number) => void,
): Promise<number> => {
  const stop = new AbortController();
  let timer = setTimeout(() => stop.abort(new Error('no answer')), CONNECT_MS);
  const file = await open(part, 'w', 0o640);
  let size = 0;
  try {
    const response = await fetch(source.url, { signal: stop.signal });
    if (!response.ok || response.body === null) throw new Error(`HTTP status ${response.status}`);
    for await (const chunk of response.body as AsyncIterable<Uint8Array>) {
      clearTimeout(timer);
      timer = setTimeout(() => stop.abort(new Error('it stopped coming')), STALL_MS);
      size += chunk.byteLength;
      if (size > source.bytes) break;
      await file.write(chunk);
      onProgress(size);
    }
    await file.sync();
    return size;
  } catch (error) {
    const cause =
      error instanceof Error && error.cause !== undefined ? messageOf(error.cause) : messageOf(error);
    throw new BitlaneError(
      'UNREACHABLE',
      `${source.url} cannot be fetched (${cause}): check the network, or put the file there yourself`,
      { cause: error },
    );
  } finally {
    clearTimeout(timer);
    await file.close();
  }
};
