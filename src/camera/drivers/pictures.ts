// The pictures of a folder or an MJPEG file, one after the other, read as they are asked for.
import { createReadStream } from 'node:fs';
import { open, readdir, stat } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { BitlaneError } from '../../errors.js';
import { readJpegSize } from '../../vision/index.js';
import { MjpegSplitter } from '../mjpeg.js';
import type { FrameSize } from '../source.js';

/** A picture that can be decoded as far as its header says, or why it was passed over. */
export type ReplayItem = { readonly data: Uint8Array; readonly size: FrameSize } | { readonly bad: string };

const MAX_PICTURE_BYTES = 32 * 1024 * 1024;
const CHUNK_BYTES = 256 * 1024;

const byName = new Intl.Collator('en', { numeric: true });
const compareNames = (a: string, b: string): number => byName.compare(a, b) || (a < b ? -1 : 1);

const judge = (data: Uint8Array, name: string): ReplayItem => {
  const size = readJpegSize(data);
  if ('fault' in size) return { bad: `${name} ${size.reason}` };
  if (size.components !== 1 && size.components !== 3) {
    return { bad: `${name} has ${size.components} colour components` };
  }
  return { data, size: { width: size.width, height: size.height } };
};

const readPicture = async (path: string): Promise<Uint8Array | string> => {
  const file = await open(path);
  try {
    const found = await file.stat();
    if (!found.isFile()) return 'is no file';
    if (found.size > MAX_PICTURE_BYTES) return `is larger than ${MAX_PICTURE_BYTES} bytes`;
    return await file.readFile();
  } finally {
    await file.close();
  }
};

async function* folderPictures(folder: string): AsyncGenerator<ReplayItem> {
  const names = (await readdir(folder)).filter((name) => /\.jpe?g$/i.test(name)).sort(compareNames);
  if (names.length === 0) throw new BitlaneError('CAMERA_FAILED', `${folder} holds no .jpg files`);
  for (const name of names) {
    let read: Uint8Array | string;
    try {
      read = await readPicture(join(folder, name));
    } catch {
      read = 'cannot be read';
    }
    yield typeof read === 'string'
      ? { bad: `the picture ${name} ${read}` }
      : judge(read, `the picture ${name}`);
  }
}

async function* filePictures(path: string): AsyncGenerator<ReplayItem> {
  const splitter = new MjpegSplitter(MAX_PICTURE_BYTES);
  const stream = createReadStream(path, { highWaterMark: CHUNK_BYTES });
  let number = 0;
  const named = (item: { readonly data: Uint8Array } | { readonly bad: string }): ReplayItem => {
    number += 1;
    const name = `picture ${number} of the file`;
    return 'bad' in item ? { bad: `${name} ${item.bad}` } : judge(item.data, name);
  };
  try {
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      for (const item of splitter.push(chunk)) yield named(item);
    }
    for (const item of splitter.end()) yield named(item);
  } finally {
    stream.destroy();
  }
}

/**
 * One pass over `path`: the .jpg files of a folder in the order of their names (2 before 10), or the pictures of an .mjpeg file.
 *
 * @throws BitlaneError `CAMERA_FAILED` where there is nothing to read
 */
export async function* pictures(path: string): AsyncGenerator<ReplayItem> {
  const found = await stat(path).catch(() => undefined);
  if (found === undefined) throw new BitlaneError('CAMERA_FAILED', `${path} is not there or cannot be read`);
  if (found.isDirectory()) yield* folderPictures(path);
  else if (found.isFile() && /^\.mjpe?g$/i.test(extname(path))) yield* filePictures(path);
  else throw new BitlaneError('CAMERA_FAILED', `${path} is neither a folder nor an .mjpeg file`);
}
