// Cuts a stream of concatenated JPEG pictures (MJPEG) at their boundaries, by walking their markers.

/** A picture, or why the bytes that should have been one were dropped (completes "the picture ..."). */
export type MjpegItem = { readonly data: Uint8Array } | { readonly bad: string };

const SOI = Buffer.from([0xff, 0xd8]);
const START = 0xd8;
const END = 0xd9;
const SCAN = 0xda;
const MAX_PICTURE_BYTES = 32 * 1024 * 1024;

/** Markers without a length: TEM and the restart markers. */
const isStandalone = (marker: number): boolean => marker === 0x01 || (marker >= 0xd0 && marker <= 0xd7);

type Place =
  /** Looking for the start of a picture. */
  | 'between'
  /** A marker comes next. */
  | 'segments'
  /** In entropy-coded data, where only a marker is more than data. */
  | 'scan';

/** Holds at most one picture and a chunk. Searching for end markers alone would stop at the end of an embedded thumbnail. */
export class MjpegSplitter {
  readonly #maxBytes: number;
  #buffer = Buffer.allocUnsafeSlow(256 * 1024);
  #length = 0;
  /** Where the walk stands; may lie beyond what is there. */
  #at = 0;
  #place: Place = 'between';

  constructor(maxBytes: number = MAX_PICTURE_BYTES) {
    this.#maxBytes = maxBytes;
  }

  /** Yields what `chunk` completes. Must be run to its end before the next chunk is pushed. */
  *push(chunk: Uint8Array): Generator<MjpegItem> {
    this.#append(chunk);
    for (;;) {
      const item = this.#walk();
      if (item === undefined) return;
      yield item;
    }
  }

  /** The end of the stream: a picture that is not complete by now is torn. */
  *end(): Generator<MjpegItem> {
    while (this.#place !== 'between') {
      yield this.#giveUp('stops before its end');
      for (;;) {
        const item = this.#walk();
        if (item === undefined) break;
        yield item;
      }
    }
  }

  #walk(): MjpegItem | undefined {
    for (;;) {
      let item: MjpegItem | 'more' | undefined;
      switch (this.#place) {
        case 'between':
          item = this.#findStart();
          break;
        case 'segments':
          item = this.#segment();
          break;
        case 'scan':
          item = this.#scan();
          break;
      }
      if (item === 'more') {
        if (this.#length <= this.#maxBytes) return undefined;
        return this.#giveUp(`is larger than ${this.#maxBytes} bytes`);
      }
      if (item !== undefined) return item;
    }
  }

  #findStart(): 'more' | undefined {
    const start = this.#buffer.subarray(0, this.#length).indexOf(SOI);
    if (start < 0) {
      const kept = this.#length > 0 && this.#buffer[this.#length - 1] === 0xff ? 1 : 0;
      this.#drop(this.#length - kept);
      return 'more';
    }
    this.#drop(start);
    this.#at = 2;
    this.#place = 'segments';
    return undefined;
  }

  #segment(): MjpegItem | 'more' | undefined {
    let at = this.#at;
    if (at >= this.#length) return 'more';
    if (this.#buffer[at] !== 0xff) return this.#giveUp('has a byte where a marker should be');
    while (at < this.#length && this.#buffer[at] === 0xff) at += 1;
    if (at >= this.#length) return 'more';
    const marker = this.#buffer[at] ?? 0;
    at += 1;
    if (marker === START) return this.#giveUp('stops before its end');
    if (marker === 0) return this.#giveUp('has a marker where none may be');
    if (marker === END) return this.#complete(at);
    if (isStandalone(marker)) {
      this.#at = at;
      return undefined;
    }
    if (at + 2 > this.#length) return 'more';
    const length = this.#buffer.readUInt16BE(at);
    if (length < 2) return this.#giveUp('has a segment of impossible length');
    this.#at = at + length;
    if (marker === SCAN) this.#place = 'scan';
    return undefined;
  }

  #scan(): 'more' | undefined {
    for (;;) {
      if (this.#at >= this.#length) return 'more';
      const mark = this.#buffer.subarray(0, this.#length).indexOf(0xff, this.#at);
      if (mark < 0) {
        this.#at = this.#length;
        return 'more';
      }
      this.#at = mark;
      const next = this.#buffer[mark + 1];
      if (mark + 1 >= this.#length || next === undefined) return 'more';
      // FF 00 is a data byte, restart markers are part of the data, FF FF is fill.
      if (next === 0 || (next >= 0xd0 && next <= 0xd7)) this.#at = mark + 2;
      else if (next === 0xff) this.#at = mark + 1;
      else {
        this.#place = 'segments';
        return undefined;
      }
    }
  }

  #complete(end: number): MjpegItem {
    const data = Buffer.allocUnsafeSlow(end);
    this.#buffer.copy(data, 0, 0, end);
    this.#drop(end);
    this.#place = 'between';
    return { data };
  }

  /** Goes on looking right behind the start of the broken picture: the next one may begin inside what it claimed. */
  #giveUp(reason: string): MjpegItem {
    this.#drop(2);
    this.#place = 'between';
    return { bad: reason };
  }

  #drop(bytes: number): void {
    this.#buffer.copyWithin(0, bytes, this.#length);
    this.#length -= bytes;
    this.#at = 0;
  }

  #append(chunk: Uint8Array): void {
    const needed = this.#length + chunk.length;
    if (needed > this.#buffer.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(needed, 2 * this.#buffer.length));
      this.#buffer.copy(larger, 0, 0, this.#length);
      this.#buffer = larger;
    }
    this.#buffer.set(chunk, this.#length);
    this.#length = needed;
  }
}
