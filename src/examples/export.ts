// Examples as a data set in the YOLO or COCO layout, for other tools and for bitlane's own.
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { BitlaneError } from '../errors.js';
import { foldName } from '../registry/index.js';
import { type Box, decodeJpeg, encodeJpeg, type RgbImage } from '../vision/index.js';
import { type Truth, truthOf } from './truth.js';
import type { ClassName, Example, Source } from './types.js';

export const LAYOUTS = ['yolo', 'coco'] as const;
export type Layout = (typeof LAYOUTS)[number];

/** Where examples come from: a library, or a daemon that is asked. */
export interface ExampleSource {
  /** Newest first. */
  all(): AsyncIterable<Example> | Iterable<Example>;
  picture(id: string): Promise<Uint8Array>;
}

export interface ExportOptions {
  readonly layout: Layout;
  /** Must not exist yet, or be empty. */
  readonly folder: string;
  /** Whose word is taken. */
  readonly sources: readonly Source[];
  /**
   * `false`: a crop is laid on a grey picture of the frame's size, where it was, so that a model sees vehicles as large as on the
   * road. `true`: crops as they are stored.
   */
  readonly crops: boolean;
  /** Whether other vehicles are painted over (default: in the YOLO layout). */
  readonly hides?: boolean;
  /** In the YOLO layout: the name of a class, the last one, for what is no vehicle (default: it has no label). */
  readonly nothing?: string;
  readonly signal?: AbortSignal;
  readonly onProgress?: (done: number) => void;
}

export interface Exported {
  readonly folder: string;
  readonly layout: Layout;
  readonly pictures: number;
  /** Whose word they carry. */
  readonly sources: Readonly<Record<Source, number>>;
  readonly classes: readonly ClassName[];
  /** Examples of which none of the sources says anything. */
  readonly unlabelled: number;
}

const GREY = 114;
const QUALITY = 95;

/** Of an example: what it is about, where. */
interface Shown {
  readonly example: Example;
  readonly truth: Pick<Truth, 'box'>;
}

interface Labelled extends Shown {
  readonly truth: Truth;
}

const moved = (box: Box, dx: number, dy: number): Box => ({
  x1: box.x1 + dx,
  y1: box.y1 + dy,
  x2: box.x2 + dx,
  y2: box.y2 + dy,
});

const clipped = (box: Box, { width, height }: { width: number; height: number }): Box => ({
  x1: Math.min(Math.max(box.x1, 0), width),
  y1: Math.min(Math.max(box.y1, 0), height),
  x2: Math.min(Math.max(box.x2, 0), width),
  y2: Math.min(Math.max(box.y2, 0), height),
});

/** Lays a picture on a grey one. */
const onGrey = (image: RgbImage, width: number, height: number, left: number, top: number): RgbImage => {
  const data = new Uint8Array(3 * width * height).fill(GREY);
  for (let row = 0; row < image.height; row += 1) {
    const line = image.data.subarray(3 * row * image.width, 3 * (row + 1) * image.width);
    data.set(line, 3 * ((top + row) * width + left));
  }
  return { format: 'rgb24', width, height, data };
};

/** Paints boxes grey, but for what lies in `keep`. */
const hide = (image: RgbImage, boxes: readonly Box[], keep: Box): RgbImage => {
  const data = Uint8Array.from(image.data);
  for (const box of boxes) {
    const { x1, y1, x2, y2 } = clipped(box, image);
    for (let y = Math.floor(y1); y < Math.ceil(y2); y += 1) {
      for (let x = Math.floor(x1); x < Math.ceil(x2); x += 1) {
        if (x >= keep.x1 && x < keep.x2 && y >= keep.y1 && y < keep.y2) continue;
        data.fill(GREY, 3 * (y * image.width + x), 3 * (y * image.width + x) + 3);
      }
    }
  }
  return { ...image, data };
};

interface Drawn {
  readonly jpeg: Uint8Array;
  readonly width: number;
  readonly height: number;
  readonly box: Box;
  readonly others: readonly Box[];
}

/**
 * The picture of an example as it is exported. Nobody labelled the other vehicles in it: the COCO layout can mark them as regions to
 * ignore; the YOLO layout cannot, so they are painted over (but for what hides the example itself).
 */
const draw = (
  jpeg: Uint8Array,
  { example, truth }: Shown,
  { crops, hides }: { readonly crops: boolean; readonly hides: boolean },
): Drawn => {
  const { left, top, frame } = example.picture;
  const [dx, dy] = crops ? [0, 0] : [left, top];
  const box = moved(truth.box, dx, dy);
  const others = example.others.map((other) => moved(other, dx, dy));
  const mustHide = hides && others.length > 0;
  const isWhole = example.picture.width === frame.width && example.picture.height === frame.height;
  const { width, height } = crops ? example.picture : frame;
  const size = { width, height };
  const drawn = {
    width,
    height,
    box: clipped(box, size),
    others: others.map((other) => clipped(other, size)),
  };
  if (!mustHide && (crops || isWhole)) return { ...drawn, jpeg };
  const decoded = decodeJpeg(jpeg);
  const laid = crops ? decoded : onGrey(decoded, frame.width, frame.height, left, top);
  return { ...drawn, jpeg: encodeJpeg(mustHide ? hide(laid, others, box) : laid, QUALITY) };
};

/** Writes what one layout needs, picture by picture. */
interface Writer {
  add(example: Labelled, drawn: Drawn): void;
  finish(): void;
}

const yoloWriter = (folder: string, known: readonly ClassName[], nothing?: string): Writer => {
  const classes = nothing === undefined ? known : [...known, nothing];
  mkdirSync(join(folder, 'images'));
  mkdirSync(join(folder, 'labels'));
  return {
    add: ({ example, truth }, { jpeg, width, height, box }) => {
      writeFileSync(join(folder, 'images', `${example.id}.jpg`), jpeg);
      const index = indexOf(classes, truth.className ?? nothing ?? null);
      const numbers = [
        (box.x1 + box.x2) / 2 / width,
        (box.y1 + box.y2) / 2 / height,
        (box.x2 - box.x1) / width,
        (box.y2 - box.y1) / height,
      ].map((value) => value.toFixed(6));
      const text = index === undefined ? '' : `${index} ${numbers.join(' ')}\n`;
      writeFileSync(join(folder, 'labels', `${example.id}.txt`), text);
    },
    finish: () =>
      writeFileSync(
        join(folder, 'data.yaml'),
        stringify({ train: 'images', val: 'images', nc: classes.length, names: [...classes] }),
      ),
  };
};

const cocoWriter = (folder: string, classes: readonly ClassName[]): Writer => {
  mkdirSync(join(folder, 'images'));
  const images: unknown[] = [];
  const annotations: unknown[] = [];
  const bboxOf = ({ x1, y1, x2, y2 }: Box): number[] => [x1, y1, x2 - x1, y2 - y1];
  const areaOf = ({ x1, y1, x2, y2 }: Box): number => (x2 - x1) * (y2 - y1);
  const annotate = (image: number, category: number, box: Box, iscrowd: 0 | 1, more: object): void => {
    const id = annotations.length + 1;
    const place = { bbox: bboxOf(box), area: areaOf(box), iscrowd };
    annotations.push({ id, image_id: image, category_id: category + 1, ...place, ...more });
  };
  return {
    add: ({ example, truth }, { jpeg, width, height, box, others }) => {
      const name = `${example.id}.jpg`;
      writeFileSync(join(folder, 'images', name), jpeg);
      const id = images.length + 1;
      const { reason, model, takenMs } = example;
      const bitlane = { example: example.id, reason, model, taken_at: new Date(takenMs).toISOString() };
      images.push({ id, file_name: name, width, height, bitlane });
      const index = indexOf(classes, truth.className);
      if (index !== undefined) annotate(id, index, box, 0, { bitlane: { source: truth.source } });
      for (const other of others) if (areaOf(other) > 0) annotate(id, 0, other, 1, {});
    },
    finish: () => {
      const categories = classes.map((name, index) => ({ id: index + 1, name }));
      const info = { description: 'hard examples' };
      writeFileSync(
        join(folder, 'annotations.json'),
        `${JSON.stringify({ info, images, annotations, categories })}\n`,
      );
    },
  };
};

const indexOf = (classes: readonly ClassName[], name: ClassName | null): number | undefined => {
  if (name === null) return undefined;
  const index = classes.findIndex((known) => foldName(known) === foldName(name));
  return index < 0 ? undefined : index;
};

const makeFolder = (folder: string): void => {
  if (existsSync(folder) && readdirSync(folder).length > 0) {
    throw new BitlaneError('BAD_USAGE', `${folder} is not empty: name a folder that does not exist yet`);
  }
  mkdirSync(folder, { recursive: true });
};

/**
 * Writes a data set that `openDataSet` can open. Crops become pictures of the frame's size unless `crops` is set.
 *
 * @throws BitlaneError `BAD_USAGE` when the folder is not empty or no example has a label by these sources; the reason of `signal`
 */
export const exportExamples = async (source: ExampleSource, options: ExportOptions): Promise<Exported> => {
  const { layout, folder, sources, crops, nothing, signal, onProgress = () => undefined } = options;
  const { hides = layout === 'yolo' } = options;
  const labelled: Labelled[] = [];
  let unlabelled = 0;
  for await (const example of source.all()) {
    const truth = truthOf(example, sources);
    if (truth === undefined) unlabelled += 1;
    else labelled.push({ example, truth });
  }
  const names = new Map<string, ClassName>();
  for (const { truth } of labelled) {
    if (truth.className !== null && !names.has(foldName(truth.className))) {
      names.set(foldName(truth.className), truth.className);
    }
  }
  const classes = [...names.values()].sort();
  if (classes.length === 0 && (nothing === undefined || labelled.length === 0)) {
    throw new BitlaneError(
      'BAD_USAGE',
      `there is nothing to export: of ${unlabelled + labelled.length} examples none has a class by ${sources.join(', ')} (label some, or ` +
        'take presumed classes too with --sources)',
    );
  }
  makeFolder(folder);
  const writer = (layout === 'yolo' ? yoloWriter : cocoWriter)(folder, classes, nothing);
  const bySource: Record<Source, number> = { operator: 0, track: 0, teacher: 0 };
  let done = 0;
  for (const one of labelled) {
    signal?.throwIfAborted();
    writer.add(one, draw(await source.picture(one.example.id), one, { crops, hides }));
    bySource[one.truth.source] += 1;
    done += 1;
    onProgress(done);
  }
  writer.finish();
  return { folder, layout, pictures: done, sources: bySource, classes, unlabelled };
};

/**
 * Writes the pictures of all examples, as large as the frame and with everything that was seen in them, as a data set in the YOLO layout
 * that has no labels. Its classes are those that the model took them for, or was in doubt about.
 *
 * @throws BitlaneError `BAD_USAGE` when the folder is not empty; the reason of `signal`
 */
export const exportPictures = async (
  source: ExampleSource,
  { folder, signal, onProgress = () => undefined }: Pick<ExportOptions, 'folder' | 'signal' | 'onProgress'>,
): Promise<{ readonly pictures: number; readonly classes: readonly ClassName[] }> => {
  makeFolder(folder);
  for (const part of ['images', 'labels']) mkdirSync(join(folder, part));
  const names = new Map<string, ClassName>();
  let pictures = 0;
  for await (const example of source.all()) {
    signal?.throwIfAborted();
    const shown = { example, truth: { box: example.object } };
    const { jpeg } = draw(await source.picture(example.id), shown, { crops: false, hides: false });
    writeFileSync(join(folder, 'images', `${example.id}.jpg`), jpeg);
    writeFileSync(join(folder, 'labels', `${example.id}.txt`), '');
    for (const name of [example.object, ...example.others]
      .map(({ className }) => className)
      .concat(example.pair.split(':'))) {
      if (!names.has(foldName(name))) names.set(foldName(name), name);
    }
    onProgress(++pictures);
  }
  const classes = [...names.values()].sort();
  writeFileSync(
    join(folder, 'data.yaml'),
    stringify({ train: 'images', val: 'images', nc: classes.length, names: classes }),
  );
  return { pictures, classes };
};
