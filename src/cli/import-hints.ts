// What the command line says of a bare ONNX file: its head, its classes, what it takes.
import { existsSync, readFileSync, statSync } from 'node:fs';
import type { ModelHints } from '../detector/index.js';
import { BitlaneError } from '../errors.js';
import { choice, listOption, numberOption } from './values.js';

export const HEADS = ['yolox', 'yolov8', 'end-to-end', 'gfl'] as const;
const MAX_NAMES_BYTES = 2 ** 20;

export interface HintOptions {
  readonly head?: string;
  readonly names?: string;
  readonly input?: string;
  readonly colour?: string;
  readonly mean?: string;
  readonly scale?: string;
  readonly letterbox?: string;
  readonly pad?: string;
  readonly strides?: string;
  readonly output?: readonly string[];
  readonly boxes?: string;
  readonly cellOffset?: string;
}

const badUsage = (message: string): BitlaneError => new BitlaneError('BAD_USAGE', message);

/** `a,b,c`, or the lines of a file. */
const namesOf = (text: string): string[] => {
  const stats = existsSync(text) ? statSync(text) : undefined;
  if (stats === undefined) {
    if (/[/\\]|\.(txt|names)$/.test(text)) throw badUsage(`--names: ${text} does not exist`);
    return listOption(text);
  }
  if (!stats.isFile() || stats.size > MAX_NAMES_BYTES) {
    throw badUsage(
      `--names: ${text} is no file of at most ${MAX_NAMES_BYTES} bytes with a class name a line`,
    );
  }
  return readFileSync(text, 'utf8')
    .split(/\r?\n/)
    .map((line) => line.trim())
    .filter((line) => line !== '');
};

const sizeOf = (text: string): { width: number; height: number } => {
  const match = /^(\d{1,5})(?:x(\d{1,5}))?$/i.exec(text);
  if (match === null) throw badUsage(`--input takes a size such as 416x416, not ${JSON.stringify(text)}`);
  const width = Number(match[1]);
  return { width, height: match[2] === undefined ? width : Number(match[2]) };
};

/** `0.5` or `1/255`, once or for each of three channels. */
const three = (option: string, text: string): [number, number, number] => {
  const values = listOption(text).map((part) => {
    const [value = '', ...divisors] = part.split('/');
    const rule = { min: -1e6, max: 1e6 };
    return divisors.reduce(
      (quotient, divisor) => quotient / numberOption(option, divisor, rule, 1),
      numberOption(option, value, rule, 0),
    );
  });
  const [first, second, third, ...rest] = values;
  if (values.every(Number.isFinite) && rest.length === 0 && first !== undefined) {
    if (second === undefined) return [first, first, first];
    if (third !== undefined) return [first, second, third];
  }
  throw badUsage(
    `${option} takes one number or three (0.5 or 1/255,1/255,1/255), not ${JSON.stringify(text)}`,
  );
};

/** @throws BitlaneError `BAD_USAGE` for an option that breaks its rule, and without a head or names */
export const hintsOf = (options: HintOptions): ModelHints => {
  if (options.head === undefined || options.names === undefined) {
    throw badUsage('a bare ONNX file needs --head and --names (an artifact folder needs neither)');
  }
  const { input, colour, mean, scale, letterbox, pad, strides, output, boxes, cellOffset } = options;
  const names = namesOf(options.names);
  if (names.length === 0) throw badUsage('--names gives no class name');
  const stride = { min: 1, max: 256, integer: true };
  return {
    head: choice('--head', options.head, HEADS),
    names,
    ...(input !== undefined && sizeOf(input)),
    ...(colour !== undefined && { colourOrder: choice('--colour', colour, ['rgb', 'bgr']) }),
    ...(mean !== undefined && { mean: three('--mean', mean) }),
    ...(scale !== undefined && { scale: three('--scale', scale) }),
    ...(letterbox !== undefined && {
      letterbox: choice('--letterbox', letterbox, ['top-left', 'centre', 'stretch']),
    }),
    ...(pad !== undefined && { pad: numberOption('--pad', pad, { min: 0, max: 255, integer: true }, 0) }),
    ...(strides !== undefined && {
      strides: listOption(strides).map((part) => numberOption('--strides', part, stride, 8)),
    }),
    ...(output !== undefined && { outputs: [...output] }),
    ...(boxes !== undefined && { boxes: choice('--boxes', boxes, ['raw', 'decoded']) }),
    ...(cellOffset !== undefined && {
      cellOffset: choice('--cell-offset', cellOffset, ['0', '0.5']) === '0' ? 0 : 0.5,
    }),
  };
};
