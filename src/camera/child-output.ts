// What a child process says on stderr: its last lines, safe to show.
import type { Readable } from 'node:stream';

const KEPT_CHARACTERS = 4_096;
const SHOWN_CHARACTERS = 300;

/** Control characters, and those that change the direction of the text around them. */
const UNSAFE = /[\u0000-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]+/g;

/** Text on one line, without control characters, without `secrets` and without the credentials of addresses. */
export const safeText = (text: string, secrets: readonly string[] = []): string => {
  let safe = text;
  for (const secret of secrets) if (secret !== '') safe = safe.replaceAll(secret, '***');
  return safe
    .replace(/\/\/[^/\s]*@/g, '//***@')
    .replace(UNSAFE, ' ')
    .trim();
};

/** Keeps the end of a stream of text, bounded. */
export class LastLines {
  readonly #secrets: readonly string[];
  readonly #onLine: (line: string) => void;
  #text = '';
  #open = '';

  /** @param onLine is called with every complete line, unsafe characters and all */
  constructor(secrets: readonly string[] = [], onLine: (line: string) => void = () => undefined) {
    this.#secrets = secrets;
    this.#onLine = onLine;
  }

  read(stream: Readable): void {
    stream.setEncoding('utf8');
    stream.on('error', () => undefined);
    stream.on('data', (chunk: string) => this.add(chunk));
  }

  add(chunk: string): void {
    this.#text = (this.#text + chunk).slice(-KEPT_CHARACTERS);
    const lines = (this.#open + chunk).split(/[\r\n]+/);
    this.#open = (lines.pop() ?? '').slice(-KEPT_CHARACTERS);
    for (const line of lines) this.#onLine(line);
  }

  /** The last line that says something, at most 300 characters; empty when there was none. */
  last(): string {
    const lines = this.#text.split(/[\r\n]+/).map((line) => safeText(line, this.#secrets));
    return (lines.findLast((line) => line !== '') ?? '').slice(0, SHOWN_CHARACTERS);
  }
}

/** The sentence for a process that ended by itself. */
export const howItEnded = (
  name: string,
  code: number | null,
  signal: NodeJS.Signals | null,
  lines: LastLines,
): string => {
  const last = lines.last();
  const how = signal === null ? `ended with exit code ${code}` : `was ended by ${signal}`;
  return `${name} ${how}${last === '' ? '' : `: ${last}`}`;
};
