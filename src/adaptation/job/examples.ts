// Hard examples as a job's pictures: what an operator, the tracks or the teacher say to tune on, another part to judge by.
import { createHash } from 'node:crypto';
import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { configSchema } from '../../config/index.js';
import { BitlaneError } from '../../errors.js';
import { type Example, ExampleLibrary, exportExamples, type Source, SOURCES } from '../../examples/index.js';
import { readStore } from '../../store/index.js';
import { silentLog } from '../../system/index.js';

export const materialSchema = z.strictObject({
  /** Data sets in the YOLO layout. */
  tuning: z.string(),
  /** What operators labelled, and nothing else; absent where that is too little. */
  validation: z.string().optional(),
  /** A folder of pictures that were not tuned on. */
  frames: z.string(),
});
export type ExampleMaterial = z.output<typeof materialSchema>;

/** Of 256. */
const HELD = 96;

/** Whether an example is kept from tuning: by its name, so that it is in every adaptation or in none. */
export const isHeld = ({ id }: Pick<Example, 'id'>): boolean =>
  (createHash('sha256').update(id).digest()[0] ?? 0) < HELD;

export interface ExampleOptions {
  readonly stateDir: string;
  /** Newest examples, at most. */
  readonly most: number;
  readonly minPictures: number;
  /** Folder that it is put into; what is there goes. */
  readonly folder: string;
  readonly signal?: AbortSignal;
  readonly onProgress?: (done: number, all: number) => void;
}

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
    for (const example of library.all()) {
      // The daemon goes on removing what is old.
      if (!existsSync(library.picturePath(example.id))) continue;
      if (all.push(example) >= most) break;
    }
    const said = (sources: readonly Source[]) => (example: Example) =>
      sources.some((source) => source === (example.label === null ? example.presumed?.source : 'operator'));
    const held = all.filter(isHeld);
    const [tuned, judged] = [
      all.filter((example) => !isHeld(example)).filter(said(SOURCES)),
      held.filter(said(['operator'])),
    ];
    if (tuned.length === 0 || held.length === 0) {
      throw new BitlaneError(
        'BAD_DATASET',
        `${all.length} hard examples are too few to adapt to: wait for more, or name labelled pictures in adaptation.data`,
      );
    }
    let done = 0;
    const put = async (
      part: string,
      examples: readonly Example[],
      sources: readonly Source[],
    ): Promise<string> => {
      const target = join(folder, part);
      await exportExamples(
        { all: () => examples, picture: (id) => library.picture(id) },
        {
          layout: 'yolo',
          folder: target,
          sources,
          crops: false,
          ...(signal !== undefined && { signal }),
          onProgress: () => onProgress(++done, all.length),
        },
      );
      return target;
    };
    return {
      tuning: await put('tuning', tuned, SOURCES),
      ...(judged.length >= minPictures && { validation: await put('validation', judged, ['operator']) }),
      frames: join(await put('frames', held.filter(said(SOURCES)), SOURCES), 'images'),
    };
  } finally {
    store.close();
  }
};
