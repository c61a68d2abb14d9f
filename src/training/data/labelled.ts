// Labelled pictures of a data set, its classes put into the model's.
import {
  type ClassMap,
  type ClassOverride,
  type DataSet,
  mapClasses,
  openDataSet,
  readPicture,
} from '../../evaluation/index.js';
import { NOTHING } from '../loss/index.js';
import type { SampleSource, SourceSpec } from './sample.js';

export interface LabelledOptions {
  readonly path: string;
  readonly split: string;
  /** Take the first so many pictures only. */
  readonly limit?: number;
  /** The model's. */
  readonly classes: readonly string[];
  readonly overrides?: readonly ClassOverride[];
  /** The data set's class for what is nothing at all (default: it has none); only where labels put a teacher's word right. */
  readonly nothing?: string;
}

/** The model's class for each of the data set's, -1 where it has none. */
export const modelClasses = ({ fromData, fromModel }: ClassMap): number[] =>
  fromData.map((id) => fromModel.indexOf(id));

/** The model's class for each of the data set's, {@link NOTHING} for the one that is nothing. */
const classesOf = ({ classes, overrides, nothing }: LabelledOptions, names: readonly string[]): number[] => {
  const things = names.filter((name) => name !== nothing);
  const known = things.length === 0 ? [] : modelClasses(mapClasses(classes, things, overrides));
  return names.map((name) => (name === nothing ? NOTHING : (known[things.indexOf(name)] ?? -1)));
};

/** Pictures of a data set as samples. Objects of classes that the model does not have are ignored, and crowds. */
export const labelledSource = (dataSet: DataSet, classOf: readonly number[]): SampleSource => ({
  count: dataSet.images.length,
  at: async (index) => {
    const image = await readPicture(dataSet.images[index]?.path ?? '');
    const { objects } = await dataSet.load(index);
    const known = objects.map(({ x1, y1, x2, y2, classId, crowd }) => ({
      x1,
      y1,
      x2,
      y2,
      classId: crowd ? -1 : (classOf[classId] ?? -1),
      weight: 1,
    }));
    return {
      image,
      objects: known.filter(({ classId }) => classId !== -1),
      ignored: known.filter(({ classId }) => classId === -1),
    };
  },
});

/** Opens a data set in the loader's thread. */
export const openSource = (options: LabelledOptions): SampleSource => {
  const { path, split, limit } = options;
  const dataSet = openDataSet(path, { split, ...(limit !== undefined && { limit }) });
  return labelledSource(dataSet, classesOf(options, dataSet.classes));
};

/** Labelled pictures for a loader. */
export const labelledSpec = (options: LabelledOptions): SourceSpec => ({
  module: new URL('./labelled.js', import.meta.url),
  options,
});
