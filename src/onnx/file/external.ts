// Weights in other files: only plain files in the model's own folder, and only as many bytes as the tensor needs.
import { closeSync, fstatSync, openSync, readSync, realpathSync } from 'node:fs';
import { constants } from 'node:fs';
import { isAbsolute, join, sep } from 'node:path';
import type { TensorProto } from 'onnx-buf';
import { badModel, MAX_EXTERNAL_BYTES } from '../limits.js';

const wholeNumber = (text: string | undefined): number | undefined =>
  text === undefined ? 0 : /^\d{1,15}$/.test(text) ? Number(text) : undefined;

/** Reads the external tensors of one model. */
export class ExternalData {
  readonly #folder: string | undefined;
  #total = 0;

  /** @param folder the model's; `undefined` for a model that came as bytes and may have no other files */
  constructor(folder: string | undefined) {
    this.#folder = folder;
  }

  #resolve(location: string, what: string): string {
    if (this.#folder === undefined) {
      throw badModel(`${what} keeps its data in another file, but the model was given without a folder`);
    }
    if (
      location === '' ||
      location.includes('\0') ||
      isAbsolute(location) ||
      location.split(/[/\\]/).includes('..')
    ) {
      throw badModel(`${what} keeps its data outside the model's folder, which is not allowed`);
    }
    let folder: string;
    let path: string;
    try {
      folder = realpathSync(this.#folder);
      path = realpathSync(join(folder, location));
    } catch (error) {
      throw badModel(`${what} keeps its data in the file ${location}, which is missing`, error);
    }
    if (!path.startsWith(folder.endsWith(sep) ? folder : folder + sep)) {
      throw badModel(`${what} keeps its data outside the model's folder, which is not allowed`);
    }
    return path;
  }

  /**
   * The bytes of a tensor.
   *
   * @param size how many it needs
   * @param what names the tensor in errors
   * @throws BitlaneError `BAD_MODEL`
   */
  read(proto: TensorProto, size: number, what: string): Uint8Array {
    const entries = new Map(proto.externalData.map(({ key, value }) => [key, value]));
    const location = entries.get('location') ?? '';
    const path = this.#resolve(location, what);
    const offset = wholeNumber(entries.get('offset'));
    const length = entries.has('length') ? wholeNumber(entries.get('length')) : size;
    if (offset === undefined || length !== size) {
      throw badModel(
        `${what} needs ${size} bytes of external data, which is not what the model says of them`,
      );
    }
    this.#total += size;
    if (this.#total > MAX_EXTERNAL_BYTES)
      throw badModel('the model has more external data than bitlane takes');
    let fd: number;
    try {
      // Not blocking: opening a pipe would wait for a writer.
      fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    } catch (error) {
      throw badModel(`${what} keeps its data in the file ${location}, which cannot be read`, error);
    }
    try {
      const found = fstatSync(fd);
      if (!found.isFile()) throw badModel(`${what} keeps its data in ${location}, which is no plain file`);
      if (offset + size > found.size) {
        throw badModel(`${what} needs ${size} bytes at ${offset} of ${location}, which holds ${found.size}`);
      }
      const bytes = new Uint8Array(size);
      for (let at = 0; at < size;) {
        const got = readSync(fd, bytes, at, size - at, offset + at);
        if (got === 0) throw badModel(`${what} keeps its data in ${location}, which became shorter`);
        at += got;
      }
      return bytes;
    } finally {
      closeSync(fd);
    }
  }
}
