// Pictures as a model takes them, with the rows of its output that are looked at.
import { readPicture } from '../evaluation/index.js';
import type { DetectorSpec } from '../registry/index.js';
import { inputTensor, Preprocessor } from '../vision/index.js';
import type { Look } from './chunk.js';

/** @throws BitlaneError `BAD_DATASET` when a picture cannot be read */
export const looksAt = async (
  { input }: DetectorSpec,
  pictures: readonly { readonly path: string; readonly rows: readonly number[] }[],
): Promise<Look[]> => {
  const preprocessor = new Preprocessor();
  const looks: Look[] = [];
  for (const { path, rows } of pictures) {
    const tensor = preprocessor.tensor(input);
    preprocessor.preprocess(await readPicture(path), input, tensor);
    looks.push({ feed: { [input.name]: inputTensor(input, tensor.slice()) }, rows });
  }
  return looks;
};
