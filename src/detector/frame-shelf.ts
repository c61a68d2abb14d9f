// Memory that the supervisor and one detector process share: large frames lie there, and only their place goes over the pipe.
import { randomBytes } from 'node:crypto';
import { closeSync, openSync, readSync, unlinkSync, writeSync } from 'node:fs';
import { BitlaneError } from '../errors.js';

/** A file system in memory, on every Linux. */
const FOLDER = '/dev/shm';
/** Smaller frames cross a pipe in one piece: a megabyte takes a dozen hand-overs between the two processes. */
const LEAST_BYTES = 96 * 1024;
/** A generation holds two frames at most. */
const SLOTS = 2;
const PAGE = 4096;

/** The supervisor's side. The file has no name any more when the process starts: nothing is left behind, whoever is killed. */
export class FrameShelf {
  readonly fd: number;
  readonly #taken = new Map<number, number>();
  #slotBytes = 0;
  #usable = true;

  private constructor(fd: number) {
    this.fd = fd;
  }

  /** `undefined` where there is no such memory: every frame then goes over the pipe. */
  static open(): FrameShelf | undefined {
    const path = `${FOLDER}/bitlane-${randomBytes(12).toString('hex')}`;
    try {
      const fd = openSync(path, 'wx+', 0o600);
      unlinkSync(path);
      return new FrameShelf(fd);
    } catch {
      return undefined;
    }
  }

  /**
   * Puts a frame's bytes down until {@link free}.
   * @returns where they lie; `undefined` when they are to go over the pipe
   */
  put(seq: number, data: Uint8Array): number | undefined {
    if (!this.#usable || data.byteLength < LEAST_BYTES) return undefined;
    if (data.byteLength > this.#slotBytes) {
      if (this.#taken.size > 0) return undefined;
      this.#slotBytes = Math.ceil(data.byteLength / PAGE) * PAGE;
    }
    const used = new Set(this.#taken.values());
    const slot = Array.from({ length: SLOTS }, (_, index) => index).find((index) => !used.has(index));
    if (slot === undefined) return undefined;
    const place = slot * this.#slotBytes;
    try {
      for (let at = 0; at < data.byteLength;) {
        at += writeSync(this.fd, data, at, data.byteLength - at, place + at);
      }
    } catch {
      // No memory left there: it will not be tried with every frame.
      this.#usable = false;
      return undefined;
    }
    this.#taken.set(seq, slot);
    return place;
  }

  /** The process is done with this frame. */
  free(seq: number): void {
    this.#taken.delete(seq);
  }

  close(): void {
    if (!this.#usable) this.#taken.clear();
    this.#usable = false;
    closeSync(this.fd);
  }
}

/**
 * The detector's side: fills `target` with what lies at `place`.
 * @throws BitlaneError `BAD_FRAME` when it does not lie there
 */
export const readShelf = (fd: number, target: Uint8Array, place: number): void => {
  for (let at = 0; at < target.byteLength;) {
    const count = readSync(fd, target, at, target.byteLength - at, place + at);
    if (count === 0)
      throw new BitlaneError('BAD_FRAME', `there is no frame at ${place} of the shared memory`);
    at += count;
  }
};
