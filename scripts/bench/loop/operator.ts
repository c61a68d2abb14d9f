// An operator who knows the truth: says what a stored hard example shows, from the labels of the picture that the camera showed then.
import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { type DataSet, type LabelledObject, mapClasses } from '../../../src/evaluation/index.js';
import { callDaemon } from '../../../src/telemetry/index.js';
import { type Box, type Frame, iou } from '../../../src/vision/index.js';
import { keyOf } from '../picture-key.js';

const boxSchema = z.tuple([z.number(), z.number(), z.number(), z.number()]);
const exampleSchema = z.looseObject({
  id: z.string(),
  taken_at: z.string(),
  reason: z.string(),
  pair: z.string(),
  object: z.looseObject({ class: z.string(), box: boxSchema }),
  picture: z.looseObject({ left: z.number(), top: z.number() }),
  label: z.unknown(),
});
export type Stored = z.infer<typeof exampleSchema>;

const PAGE = 100;
/** A box that overlaps a labelled one less than this is no such vehicle. */
const SAME = 0.5;

/** Every stored example of a daemon, newest first. */
export const storedExamples = async (runtimeDir: string): Promise<Stored[]> => {
  const all: Stored[] = [];
  for (let before: string | undefined; ;) {
    const answer = await callDaemon(runtimeDir, 'examples/list', {
      limit: PAGE,
      ...(before !== undefined && { before }),
    });
    const { examples } = z.looseObject({ examples: z.array(exampleSchema) }).parse(answer);
    all.push(...examples);
    if (examples.length < PAGE) return all;
    before = examples.at(-1)?.id;
  }
};

/** Which labelled picture each frame was. */
export class Operator {
  readonly #dataSet: DataSet;
  readonly #indices: ReadonlyMap<string, number>;
  /** The model's name of each of the data's classes. */
  readonly #names: readonly (string | undefined)[];
  /** By the time of the frame, as messages say it. */
  readonly #shown = new Map<string, number>();

  /** @param frames what {@link frames} gave in an earlier run */
  constructor(
    dataSet: DataSet,
    classes: readonly string[],
    frames: readonly (readonly [string, number])[] = [],
  ) {
    for (const [at, index] of frames) this.#shown.set(at, index);
    this.#dataSet = dataSet;
    this.#indices = new Map(dataSet.images.map(({ path }, index) => [keyOf(readFileSync(path)), index]));
    const { fromData, fromModel } = mapClasses(classes, dataSet.classes);
    this.#names = fromData.map((id) => classes[fromModel.indexOf(id)]);
  }

  /** Which picture was shown when. */
  get frames(): [string, number][] {
    return [...this.#shown];
  }

  frame({ data, wallMs }: Frame): void {
    const index = this.#indices.get(keyOf(data));
    if (index !== undefined) this.#shown.set(new Date(Math.round(wallMs)).toISOString(), index);
  }

  /** Labels an example through the command. @returns the class, `null` for no vehicle, `undefined` where its picture is not known */
  async label(
    runtimeDir: string,
    { id, taken_at: at, object, picture }: Stored,
  ): Promise<string | null | undefined> {
    const index = this.#shown.get(at);
    if (index === undefined) return undefined;
    const [x1, y1, x2, y2] = object.box;
    const { left, top } = picture;
    const seen = { x1: x1 + left, y1: y1 + top, x2: x2 + left, y2: y2 + top };
    const truth = bestOf((await this.#dataSet.load(index)).objects, seen);
    const name = truth === undefined ? null : (this.#names[truth.classId] ?? null);
    await callDaemon(runtimeDir, 'examples/label', {
      example: id,
      class: name,
      ...(truth !== undefined && { box: [truth.x1 - left, truth.y1 - top, truth.x2 - left, truth.y2 - top] }),
    });
    return name;
  }
}

const bestOf = (objects: readonly LabelledObject[], box: Box): LabelledObject | undefined => {
  let best: { object: LabelledObject; overlap: number } | undefined;
  for (const object of objects) {
    const overlap = iou(object, box);
    if (!object.crowd && overlap >= SAME && overlap > (best?.overlap ?? 0)) best = { object, overlap };
  }
  return best?.object;
};
