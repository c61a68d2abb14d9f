// A data set as pictures with labels in the classes that are told apart, and as calibration data with a name for the cache.
import { createHash } from 'node:crypto';
import type { ClassMap, DataSet } from '../evaluation/index.js';
import { type FeedSource, pictureFeeds } from '../quantization/index.js';
import type { InputSpec } from '../registry/index.js';
import type { LabelledPicture } from './objects.js';

/**
 * @param labelled false: labels are not looked at
 */
export const labelledPictures = async (
  dataSet: DataSet,
  map: ClassMap,
  labelled = true,
): Promise<LabelledPicture[]> => {
  const pictures: LabelledPicture[] = [];
  for (const [index, { path }] of dataSet.images.entries()) {
    if (!labelled) {
      pictures.push({ path, objects: undefined });
      continue;
    }
    const { objects } = await dataSet.load(index);
    pictures.push({
      path,
      objects: objects.flatMap((object) => {
        const classId = map.fromData[object.classId] ?? -1;
        // What the model has no class for it cannot tell from anything.
        return map.mapped[classId] === true ? [{ ...object, classId }] : [];
      }),
    });
  }
  return pictures;
};

/** Calibration pictures, evenly spread over a data set, and what names them: pictures are named by where they lie. */
export const calibrationOf = (
  dataSet: DataSet,
  input: InputSpec,
  count: number,
): { readonly feeds: FeedSource; readonly key: string } => {
  const names = dataSet.images.map(({ id }) => id);
  const text = JSON.stringify([dataSet.path, dataSet.split, count, names]);
  return {
    feeds: pictureFeeds(dataSet, input, count),
    key: createHash('sha256').update(text).digest('hex'),
  };
};
