// Labelled pictures of a data set, its classes put into the model's.
import {
  type ClassMap,
  type ClassOverride,
  type DataSet,
  mapClasses,
  openDataSet,
  readPicture,
} from '../../evaluation/index.js';
import type { SampleSource, SourceSpec } from './sample.js';

export interface LabelledOptions {
  readonly path: string;
  readonly split: string;
  /** Take the first so many pictures only. */
  readonly limit?: number;
  /** The model's. */
  readonly classes: readonly string[];
  readonly overrides?: readonly ClassOverride[];
}

/** The model's class for each of the data set's, -1 where it has none. */
export const modelClasses = ({ fromData, fromModel }: ClassMap): number[] =>
  fromData.map((id) => fromModel.indexOf(id));

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
      objects: known.filter(({ classId }) => classId >= 0),
      ignored: known.filter(({ classId }) => classId < 0),
    };
  },
});

/** Opens a data set in the loader's thread. */
export const openSource = ({ path, split, limit, classes, overrides }: LabelledOptions): SampleSource => {
  const dataSet = openDataSet(path, { split, ...(limit !== undefined && { limit }) });
  return labelledSource(dataSet, modelClasses(mapClasses(classes, dataSet.classes, overrides)));
};

/** Labelled pictures for a loader. */
export const labelledSpec = (options: LabelledOptions): SourceSpec => ({
  module: new URL('./labelled.js', import.meta.url),
  options,
});
