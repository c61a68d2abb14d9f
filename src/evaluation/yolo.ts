// Data sets in the Ultralytics YOLO layout: `data.yaml`, pictures in `images/`, labels in `labels/`.
import { basename, dirname, extname, join, relative, resolve, sep } from 'node:path';
import { parse } from 'yaml';
import { z } from 'zod';
import { BitlaneError, messageOf } from '../errors.js';
import { isFile, isFolder, isInside, isPicture, picturesBelow, readText, resolveInside } from './paths.js';
import { pictureSize } from './pictures.js';
import type { DataSet, Labels } from './types.js';
import { parseLabelRows, type ShareBox } from './yolo-labels.js';

const className = z
  .union([z.string(), z.number(), z.boolean()])
  .transform(String)
  .pipe(z.string().min(1).max(64));
const pictures = z.union([z.string(), z.array(z.string()).min(1)]);
const dataYamlSchema = z.object({
  path: z.string().nullish(),
  train: pictures.nullish(),
  val: pictures.nullish(),
  valid: pictures.nullish(),
  validation: pictures.nullish(),
  test: pictures.nullish(),
  nc: z.int().min(1).nullish(),
  names: z.union([z.array(className).min(1), z.record(z.string().regex(/^\d{1,6}$/), className)]),
});
type DataYaml = z.infer<typeof dataYamlSchema>;

/** Names under which a split is found, in the order of trying. */
const SPLIT_KEYS: Readonly<Record<string, readonly (keyof DataYaml)[]>> = {
  train: ['train'],
  val: ['val', 'valid', 'validation'],
  valid: ['valid', 'val', 'validation'],
  test: ['test'],
};

/**
 * Opens one split of the data set that `file` (`data.yaml`) describes, and reads all its labels.
 * @param limit take the first so many pictures only
 * @throws BitlaneError `BAD_DATASET`, naming the file (and line) at fault
 */
export const openYoloDataSet = (file: string, split: string, limit = Number.POSITIVE_INFINITY): DataSet => {
  const yaml = readDataYaml(file);
  const classes = classNames(yaml, file);
  const home = dirname(resolve(file));
  const base = resolveInside(home, home, yaml.path ?? '.', file);
  const named = splitOf(yaml, split, file);
  const paths = named.flatMap((part) => picturesOf(home, base, part, file)).slice(0, limit);
  if (paths.length === 0)
    throw new BitlaneError('BAD_DATASET', `${file}: the split ${split} holds no pictures`);
  const { rows, notes } = readLabels(home, paths, classes.length);
  return {
    name: basename(home),
    path: resolve(file),
    split,
    classes,
    images: paths.map((path) => ({ path, id: relative(home, path) })),
    notes,
    load: async (index) => {
      const path = paths[index];
      if (path === undefined) throw new RangeError(`picture ${index} of ${paths.length}`);
      return inPixels(rows[index] ?? [], await pictureSize(path));
    },
  };
};

const readDataYaml = (file: string): DataYaml => {
  let content: unknown;
  try {
    content = parse(readText(file));
  } catch (error) {
    if (error instanceof BitlaneError) throw error;
    throw new BitlaneError('BAD_DATASET', `${file} is not YAML: ${messageOf(error)}`, { cause: error });
  }
  const result = dataYamlSchema.safeParse(content);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  throw new BitlaneError(
    'BAD_DATASET',
    `${file}: ${issue === undefined || issue.path.length === 0 ? 'the file' : issue.path.join('.')} is missing or malformed (a data set needs names, and the folder of each split): ${issue?.message ?? ''}`,
  );
};

const classNames = (yaml: DataYaml, file: string): string[] => {
  const entries = Array.isArray(yaml.names)
    ? yaml.names.map((name, index) => [index, name] as const)
    : Object.entries(yaml.names).map(([key, name]) => [Number(key), name] as const);
  const names: string[] = [];
  for (const [index, name] of entries) names[index] = name;
  if (entries.length === 0 || names.length !== entries.length) {
    throw new BitlaneError(
      'BAD_DATASET',
      `${file}: names must number the classes 0, 1, 2, ... without a gap`,
    );
  }
  if (yaml.nc !== null && yaml.nc !== undefined && yaml.nc !== names.length) {
    throw new BitlaneError('BAD_DATASET', `${file}: nc is ${yaml.nc}, and names has ${names.length} classes`);
  }
  return names;
};

const splitOf = (yaml: DataYaml, split: string, file: string): readonly string[] => {
  for (const key of SPLIT_KEYS[split] ?? []) {
    const value = yaml[key];
    if (typeof value === 'string') return [value];
    if (Array.isArray(value)) return value.map(String);
  }
  const present = Object.keys(SPLIT_KEYS).filter((key) => yaml[key as keyof DataYaml] !== undefined);
  throw new BitlaneError(
    'BAD_DATASET',
    `${file} has no split ${split} (it has ${present.join(', ') || 'none'})`,
  );
};

/** Pictures of a folder, or of a `.txt` file with one path a line, seen from that file. */
const picturesOf = (home: string, base: string, named: string, file: string): string[] => {
  const path = splitPath(home, base, named, file);
  if (isFolder(path)) return picturesBelow(path);
  if (extname(path).toLowerCase() !== '.txt' || !isFile(path)) {
    throw new BitlaneError(
      'BAD_DATASET',
      `${file} names ${named}, and ${path} is neither a folder nor a .txt list`,
    );
  }
  return readText(path)
    .split(/\r?\n/)
    .map((line) => line.trim())
    .filter((line) => line !== '')
    .map((line) => {
      const beside = resolve(dirname(path), line);
      const picture =
        isInside(home, beside) && isFile(beside) ? beside : resolveInside(home, base, line, path);
      if (!isPicture(picture) || !isFile(picture)) {
        throw new BitlaneError('BAD_DATASET', `${path} lists ${line}, and there is no such picture`);
      }
      return picture;
    });
};

/** Roboflow writes `../valid/images` for what stands beside its `data.yaml`: read as `valid/images` where that is there. */
const splitPath = (home: string, base: string, named: string, file: string): string => {
  if (named.startsWith('../') && !isInside(home, resolve(base, named))) {
    const beside = resolve(base, named.slice(3));
    if (isInside(home, beside) && isFolder(beside)) return beside;
  }
  return resolveInside(home, base, named, file);
};

/** `images/a/b.jpg` has its labels in `labels/a/b.txt`; a picture below no `images` folder has them beside it. */
const labelPath = (home: string, picture: string): string => {
  const parts = relative(home, picture).split(sep);
  const at = parts.lastIndexOf('images');
  if (at >= 0) parts[at] = 'labels';
  const name = join(home, ...parts);
  return `${name.slice(0, name.length - extname(name).length)}.txt`;
};

const readLabels = (
  home: string,
  pictures: readonly string[],
  classes: number,
): { rows: ShareBox[][]; notes: string[] } => {
  let missing = 0;
  let duplicates = 0;
  let empty = 0;
  const rows = pictures.map((picture) => {
    const file = labelPath(home, picture);
    if (!isFile(file)) {
      missing += 1;
      return [];
    }
    const parsed = parseLabelRows(readText(file), classes, file);
    duplicates += parsed.duplicates;
    empty += parsed.empty;
    return [...parsed.boxes];
  });
  if (missing === pictures.length) {
    throw new BitlaneError(
      'BAD_DATASET',
      `none of the ${pictures.length} pictures has a label file (expected, for example, ${labelPath(home, pictures[0] ?? '')})`,
    );
  }
  const notes = [
    missing > 0 && `${missing} of ${pictures.length} pictures have no label file: taken to hold no objects`,
    duplicates > 0 && `${duplicates} label rows repeat an earlier row of their file: left out`,
    empty > 0 && `${empty} label rows have no area inside their picture: left out`,
  ];
  return { rows, notes: notes.filter((note) => note !== false) };
};

const inPixels = (rows: readonly ShareBox[], size: { width: number; height: number }): Labels => ({
  ...size,
  objects: rows.map((box) => ({
    classId: box.classId,
    crowd: false,
    x1: box.x1 * size.width,
    y1: box.y1 * size.height,
    x2: box.x2 * size.width,
    y2: box.y2 * size.height,
  })),
});
