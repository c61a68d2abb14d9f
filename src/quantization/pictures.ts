// Calibration pictures as feeds of a detector: evenly taken from a data set, preprocessed as frames are.
import { type DataSet, readPicture } from '../evaluation/index.js';
import type { InputSpec } from '../registry/index.js';
import type { Tensors } from '../runtime/index.js';
import { inputTensor, Preprocessor, type RgbImage } from '../vision/index.js';
import type { FeedSource } from './taps.js';

/**
 * Feeds from `count` pictures of a data set, evenly spread over it. Pictures are read anew on every pass: memory does not grow with
 * their number.
 *
 * @throws BitlaneError (while it is walked) `BAD_DATASET` when a picture cannot be read
 */
export const pictureFeeds = (dataSet: DataSet, input: InputSpec, count: number): FeedSource => {
  const { images } = dataSet;
  const taken = Math.min(count, images.length);
  const chosen = Array.from({ length: taken }, (_, i) => images[Math.floor((i * images.length) / taken)]);
  return async function* (): AsyncGenerator<Tensors> {
    const preprocessor = new Preprocessor();
    // The next one is read while the model runs on this one, which blocks no other thread.
    const read = (index: number): Promise<RgbImage> | undefined => {
      const image = chosen[index];
      const picture = image === undefined ? undefined : readPicture(image.path);
      // Whoever stops before it is asked for does not hear that it cannot be read.
      picture?.catch(() => undefined);
      return picture;
    };
    let next = read(0);
    for (let index = 1; next !== undefined; index++) {
      const picture = await next;
      next = read(index);
      const tensor = preprocessor.tensor(input);
      preprocessor.preprocess(picture, input, tensor);
      yield { [input.name]: inputTensor(input, tensor) };
    }
  };
};
