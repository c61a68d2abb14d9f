// Hard examples as a job's pictures: what an operator, the tracks or the teacher say to tune on, another part to judge by.
import { createHash } from 'node:crypto';
import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { configSchema } from '../../config/index.js';
import { BitlaneError } from '../../errors.js';
import {
  type Example,
  ExampleLibrary,
  exportExamples,
  type ExportOptions,
  exportPictures,
  NO_VEHICLE,
  type Source,
  SOURCES,
  truthOf,
} from '../../examples/index.js';
import { readStore } from '../../store/index.js';
import { silentLog } from '../../system/index.js';

export const materialSchema = z.strictObject({
  /** Data sets in the YOLO layout. */
  tuning: z.string(),
  /** Whether `tuning` has labels: a word of anybody on most of the pictures. */
  labelled: z.boolean(),
  /** What operators named in that part, to learn from, in pictures as the camera showed them; absent where they named nothing. */
  learned: z.string().optional(),
  /** The pictures of that part that operators said nothing about, to learn from; absent where there are none. */
  others: z.string().optional(),
  /** Pictures of that part, as the camera showed them. */
  pictures: z.string(),
  /** What operators labelled, and nothing else; absent where that is too little. */
  validation: z.string().optional(),
  /** A folder of pictures that were not tuned on. */
  frames: z.string(),
  /** Pairs of classes that the model was in doubt about often enough, the most frequent ones first. */
  doubts: z.array(z.tuple([z.string(), z.string()])),
});
export type ExampleMaterial = z.output<typeof materialSchema>;

/** Of 256. */
const HELD = 96;
/** Examples, and the share of them, that make a pair one that the model is often in doubt about. */
const DOUBTED = { examples: 10, share: 0.05 } as const;

/** Whether an example is kept from tuning: by its name, so that it is in every adaptation or in none. */
export const isHeld = ({ id }: Pick<Example, 'id'>): boolean =>
  (createHash('sha256').update(id).digest()[0] ?? 0) < HELD;

export interface ExampleOptions {
  readonly stateDir: string;
  /** Examples at most: those that operators labelled first, then the newest. */
  readonly most: number;
  readonly minPictures: number;
  /** Folder that it is put into; what is there goes. */
  readonly folder: string;
  readonly signal?: AbortSignal;
  readonly onProgress?: (done: number, all: number) => void;
}

const doubtsOf = (examples: readonly Example[]): ExampleMaterial['doubts'] => {
  const counts = new Map<string, number>();
  for (const { pair } of examples) counts.set(pair, (counts.get(pair) ?? 0) + 1);
  const least = Math.max(DOUBTED.examples, DOUBTED.share * examples.length);
  return [...counts]
    .filter(([, count]) => count >= least)
    .sort((a, b) => b[1] - a[1])
    .flatMap(([pair]): ExampleMaterial['doubts'] => {
      const [a = '', b = ''] = pair.split(':');
      return a === b ? [] : [[a, b]];
    });
};

/**
 * Writes the examples of a device as data sets. Only reads what the daemon keeps.
 *
 * @throws BitlaneError `BAD_DATASET` where there are none
 */
export const exampleMaterial = async (options: ExampleOptions): Promise<ExampleMaterial> => {
  const { stateDir, most, minPictures, folder, signal, onProgress = () => undefined } = options;
  rmSync(folder, { recursive: true, force: true });
  const store = readStore(join(stateDir, 'bitlane.db'));
  try {
    const rules = configSchema.shape.examples.parse({});
    const library = new ExampleLibrary({ stateDir, store, rules, log: silentLog });
    const all: Example[] = [];
    // An operator's word is worth more than what is new.
    for (const labelled of [true, false]) {
      for (const example of library.all({ labelled })) {
        if (all.length >= most) break;
        // The daemon goes on removing what is old.
        if (existsSync(library.picturePath(example.id))) all.push(example);
      }
    }
    const said = (sources: readonly Source[]) => (example: Example) =>
      sources.some((source) => source === (example.label === null ? example.presumed?.source : 'operator'));
    const [held, own] = [all.filter(isHeld), all.filter((example) => !isHeld(example))];
    const [worded, learned, judged] = [
      own.filter(said(SOURCES)),
      own.filter(said(['operator'])),
      held.filter(said(['operator'])),
    ];
    if (own.length === 0 || held.length === 0) {
      throw new BitlaneError(
        'BAD_DATASET',
        `${all.length} hard examples are too few to adapt to: wait for more, or name labelled pictures in adaptation.data`,
      );
    }
    let done = 0;
    const told = {
      ...(signal !== undefined && { signal }),
      onProgress: () => onProgress(++done, all.length),
    };
    const sourceOf = (examples: readonly Example[]) => ({
      all: () => examples,
      picture: (id: string) => library.picture(id),
    });
    const put = async (
      part: string,
      examples: readonly Example[],
      sources: readonly Source[],
      more: Partial<Pick<ExportOptions, 'hides' | 'nothing'>> = {},
    ): Promise<string> => {
      const target = join(folder, part);
      await exportExamples(sourceOf(examples), {
        layout: 'yolo',
        folder: target,
        sources,
        crops: false,
        ...told,
        ...more,
      });
      return target;
    };
    const show = async (part: string, examples: readonly Example[]): Promise<string> => {
      const target = join(folder, part);
      await exportPictures(sourceOf(examples), { folder: target, ...told });
      return target;
    };
    const names = (examples: readonly Example[], sources: readonly Source[]): boolean =>
      examples.some((example) => (truthOf(example, sources)?.className ?? null) !== null);
    const others = own.filter((example) => !learned.includes(example));
    const isWorded =
      worded.length >= minPictures && 2 * worded.length >= own.length && names(worded, SOURCES);
    const pictures = await show('pictures', own);
    return {
      tuning: isWorded ? await put('tuning', worded, SOURCES) : pictures,
      labelled: isWorded,
      pictures,
      ...(learned.length > 0 && {
        learned: await put('learned', learned, ['operator'], { hides: false, nothing: NO_VEHICLE }),
      }),
      ...(others.length > 0 && { others: join(await show('others', others), 'images') }),
      ...(judged.length >= minPictures &&
        names(judged, ['operator']) && { validation: await put('validation', judged, ['operator']) }),
      frames: join(await show('frames', held), 'images'),
      doubts: doubtsOf(own),
    };
  } finally {
    store.close();
  }
};
