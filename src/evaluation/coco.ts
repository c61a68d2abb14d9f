// Data sets in COCO JSON: one annotation file, and a folder with the pictures it names.
import { basename, dirname, join, resolve } from 'node:path';
import { z } from 'zod';
import { BitlaneError, messageOf } from '../errors.js';
import { isFile, isInside, readText, resolveInside } from './paths.js';
import type { DataSet, LabelledObject } from './types.js';

const id = z.union([z.int(), z.string()]);
const cocoSchema = z.object({
  images: z
    .array(z.object({ id, file_name: z.string().min(1), width: z.int().min(1), height: z.int().min(1) }))
    .min(1),
  annotations: z.array(
    z.object({
      image_id: id,
      category_id: id,
      /** x, y, width, height in pixels. */
      bbox: z.tuple([z.number(), z.number(), z.number().min(0), z.number().min(0)]),
      iscrowd: z.union([z.literal(0), z.literal(1), z.boolean()]).default(0),
    }),
  ),
  categories: z.array(z.object({ id, name: z.string().min(1).max(64) })).min(1),
});
type Coco = z.infer<typeof cocoSchema>;

/**
 * Opens the data set of an annotation file. Categories are numbered 0, 1, 2, ... in the order of their ids; objects with
 * `iscrowd` are regions to ignore.
 * @param options.pictures folder of the pictures; looked for beside the file when left out
 * @param options.limit take the first so many pictures only
 * @throws BitlaneError `BAD_DATASET`
 */
export const openCocoDataSet = (
  file: string,
  split: string,
  options: { readonly pictures?: string; readonly limit?: number } = {},
): DataSet => {
  const coco = readCoco(file);
  const first = coco.images[0]?.file_name ?? '';
  const folder = resolve(options.pictures ?? findPictures(file, split, first));
  const categories = [...coco.categories].sort((a, b) => compareIds(a.id, b.id));
  const classOf = new Map(categories.map((category, index) => [category.id, index]));
  if (classOf.size !== categories.length)
    throw new BitlaneError('BAD_DATASET', `${file}: two categories share an id`);
  const objects = objectsByPicture(coco, classOf, file);
  if (objects.size !== coco.images.length)
    throw new BitlaneError('BAD_DATASET', `${file}: two images share an id`);
  const images = coco.images.slice(0, options.limit).map((image) => ({
    id: String(image.id),
    path: resolveInside(folder, folder, image.file_name, file),
    labels: { width: image.width, height: image.height, objects: objects.get(image.id) ?? [] },
  }));
  const absent = images.find((image) => !isFile(image.path));
  if (absent !== undefined) {
    throw new BitlaneError('BAD_DATASET', `${file} names a picture that is not there: ${absent.path}`);
  }
  return {
    name: basename(file, '.json'),
    path: resolve(file),
    split,
    classes: categories.map((category) => category.name),
    images: images.map(({ id, path }) => ({ id, path })),
    notes: [],
    load: (index) => {
      const image = images[index];
      return image === undefined
        ? Promise.reject(new RangeError(`picture ${index} of ${images.length}`))
        : Promise.resolve(image.labels);
    },
  };
};

const compareIds = (a: number | string, b: number | string): number =>
  typeof a === 'number' && typeof b === 'number' ? a - b : String(a) < String(b) ? -1 : 1;

const readCoco = (file: string): Coco => {
  let content: unknown;
  try {
    content = JSON.parse(readText(file));
  } catch (error) {
    if (error instanceof BitlaneError) throw error;
    throw new BitlaneError('BAD_DATASET', `${file} is not JSON: ${messageOf(error)}`, { cause: error });
  }
  const result = cocoSchema.safeParse(content);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  throw new BitlaneError(
    'BAD_DATASET',
    `${file} is not a COCO annotation file: ${issue?.path.join('.') || 'the document'}: ${issue?.message ?? ''}`,
  );
};

const objectsByPicture = (
  coco: Coco,
  classOf: ReadonlyMap<number | string, number>,
  file: string,
): Map<number | string, LabelledObject[]> => {
  const result = new Map<number | string, LabelledObject[]>(coco.images.map((image) => [image.id, []]));
  for (const [index, { image_id, category_id, bbox, iscrowd }] of coco.annotations.entries()) {
    const objects = result.get(image_id);
    const classId = classOf.get(category_id);
    if (objects === undefined || classId === undefined) {
      throw new BitlaneError(
        'BAD_DATASET',
        `${file}: annotations.${index} belongs to ${objects === undefined ? `image ${image_id}` : `category ${category_id}`}, which the file does not list`,
      );
    }
    const [x, y, w, h] = bbox;
    objects.push({ classId, crowd: Boolean(iscrowd), x1: x, y1: y, x2: x + w, y2: y + h });
  }
  return result;
};

/** The usual places: beside the file, `images/`, and for `annotations/instances_val2017.json` the folder `../val2017`. */
const findPictures = (file: string, split: string, picture: string): string => {
  const here = dirname(resolve(file));
  const stem = basename(file, '.json');
  const set = stem.includes('_') ? stem.slice(stem.lastIndexOf('_') + 1) : stem;
  const above = dirname(here);
  const folders = [
    here,
    join(here, 'images'),
    join(here, set),
    join(here, split),
    ...(basename(here) === 'annotations'
      ? [
          join(above, set),
          join(above, 'images', set),
          join(above, split),
          join(above, 'images', split),
          join(above, 'images'),
          above,
        ]
      : []),
  ];
  const found = folders.find((folder) => {
    const path = resolve(folder, picture);
    return isInside(folder, path) && isFile(path);
  });
  if (found !== undefined) return found;
  throw new BitlaneError(
    'BAD_DATASET',
    `the pictures of ${file} were not found (no ${picture} in ${folders.join(', ')}): name their folder with --images`,
  );
};
