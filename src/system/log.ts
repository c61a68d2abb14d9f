// The log: lines on stderr, with journald's priority prefix under systemd, level changeable while running.
import { fstatSync } from 'node:fs';

export const LOG_LEVELS = ['error', 'warn', 'info', 'debug'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** Fields that a log line carries beside its sentence. */
export type LogFields = Readonly<Record<string, string | number | boolean | null | undefined>>;

/** A log for one part of the product. */
export interface Log {
  error(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  debug(message: string, fields?: LogFields): void;
  /** A log whose lines name `part` as well. */
  child(part: string): Log;
}

const PRIORITY: Readonly<Record<LogLevel, number>> = { error: 3, warn: 4, info: 6, debug: 7 };

const show = (value: string | number | boolean | null | undefined): string =>
  typeof value === 'string' && /[\s"=]/.test(value) ? JSON.stringify(value) : String(value);

/** Whether stderr is the journal (systemd.exec(5)): children of a service inherit the variable, whatever their stderr is. */
const isJournal = (): boolean => {
  const named = process.env['JOURNAL_STREAM'];
  if (named === undefined) return false;
  try {
    const { dev, ino } = fstatSync(2);
    return named === `${dev}:${ino}`;
  } catch {
    return false;
  }
};

/** The level is shared by every log made from one root, so that a command can change it everywhere at once. */
export class RootLog {
  level: LogLevel;
  readonly #write: (line: string) => void;
  readonly #journal: boolean;

  constructor(options: { level?: LogLevel; write?: (line: string) => void; journal?: boolean } = {}) {
    this.level = options.level ?? 'info';
    this.#write = options.write ?? ((line) => void process.stderr.write(line));
    this.#journal = options.journal ?? isJournal();
  }

  /** A log for `part` (`camera`, `detector`, ...). */
  part(part: string): Log {
    const at =
      (level: LogLevel) =>
      (message: string, fields: LogFields = {}): void => {
        if (PRIORITY[level] > PRIORITY[this.level]) return;
        const tail = Object.entries(fields)
          .filter(([, value]) => value !== undefined)
          .map(([key, value]) => ` ${key}=${show(value)}`)
          .join('');
        // Line feeds, and escapes that move a terminal's cursor, would let outside input forge a log line.
        const text = `${part}: ${message}${tail}`.replace(/[\p{Cc}\u2028\u2029]+/gu, ' ');
        const head = this.#journal
          ? `<${PRIORITY[level]}>`
          : `${new Date().toISOString()} ${level.toUpperCase().padEnd(5)} `;
        this.#write(`${head}${text}\n`);
      };
    return {
      error: at('error'),
      warn: at('warn'),
      info: at('info'),
      debug: at('debug'),
      child: (name) => this.part(`${part}/${name}`),
    };
  }
}

/** A log that says nothing. */
export const silentLog: Log = {
  error: () => undefined,
  warn: () => undefined,
  info: () => undefined,
  debug: () => undefined,
  child: () => silentLog,
};
