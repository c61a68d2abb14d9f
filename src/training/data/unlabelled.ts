// Pictures that nobody has labelled: a teacher says what they show.
import { BitlaneError } from '../../errors.js';
import { picturesBelow, readPicture } from '../../evaluation/index.js';
import type { SampleSource, SourceSpec } from './sample.js';

export interface UnlabelledOptions {
  readonly folder: string;
}

/** Opens a folder of pictures in the loader's thread. */
export const openSource = ({ folder }: UnlabelledOptions): SampleSource => {
  const paths = picturesBelow(folder);
  if (paths.length === 0) throw new BitlaneError('BAD_DATASET', `${folder} holds no pictures`);
  return {
    count: paths.length,
    at: async (index) => {
      const image = await readPicture(paths[index] ?? '');
      return { image, objects: [], ignored: [{ x1: 0, y1: 0, x2: image.width, y2: image.height }] };
    },
  };
};

/** Unlabelled pictures for a loader. */
export const unlabelledSpec = (options: UnlabelledOptions): SourceSpec => ({
  module: new URL('./unlabelled.js', import.meta.url),
  options,
});
