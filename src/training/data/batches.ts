// Batches by step: which pictures, how they are changed, and the tensors they become. The same step is always the same batch.
import type { DetectorSpec } from '../../registry/index.js';
import { floatTensor } from '../../runtime/index.js';
import { Random } from '../../system/index.js';
import { type YoloxSpec, yoloxSpec } from '../loss/cells.js';
import { targetFeeds, type Targets } from '../loss/targets.js';
import type { Batch } from '../types.js';
import { type Augmentation, compose, partsOf } from './augment.js';
import { Order } from './order.js';
import type { Sample, SampleSource } from './sample.js';

export interface BatchOptions {
  readonly detector: DetectorSpec;
  /** Rows of a picture's targets. */
  readonly objects: number;
  readonly seed: number;
  readonly augmentation: Augmentation;
  /** Before this step pictures are whole too (default 0). */
  readonly mosaicFrom?: number;
  /** From this step on pictures are whole: what a model ends on is what it will see. No such end where left out. */
  readonly mosaicUntil?: number;
}

const STREAM = 1_000_003;

interface Part {
  readonly source: SampleSource;
  readonly order: Order;
  /** Pictures of it in every batch. */
  readonly share: number;
}

/** Makes batches. Pictures of a batch come from several sources in fixed shares. */
export class Batches {
  readonly #options: BatchOptions;
  readonly #spec: YoloxSpec;
  readonly #parts: readonly Part[];

  constructor(
    sources: readonly { readonly source: SampleSource; readonly share: number }[],
    options: BatchOptions,
  ) {
    this.#options = options;
    this.#spec = yoloxSpec(options.detector);
    this.#parts = sources.map(({ source, share }, i) => ({
      source,
      share,
      order: new Order(source.count, options.seed + i),
    }));
  }

  /** The feeds of a step, counted from 0. */
  async at(step: number): Promise<Batch> {
    const { input } = this.#spec;
    const size = 3 * input.width * input.height;
    const count = this.#parts.reduce((sum, { share }) => sum + share, 0);
    const pictures = new Float32Array(count * size);
    const shown: Targets[] = [];
    for (const [i, part] of this.#parts.entries()) {
      for (let k = 0; k < part.share; k += 1) {
        const place = step * part.share + k;
        const tensor = pictures.subarray(shown.length * size, (shown.length + 1) * size);
        shown.push(await this.#one(part, i, step, place, tensor));
      }
    }
    return {
      [input.name]: floatTensor([count, 3, input.height, input.width], pictures),
      ...targetFeeds(shown, this.#spec, this.#options.objects),
    };
  }

  async #one(
    { source, order }: Part,
    part: number,
    step: number,
    place: number,
    tensor: Float32Array,
  ): Promise<Targets> {
    const { augmentation, mosaicFrom = 0, mosaicUntil = Infinity, seed } = this.#options;
    const random = new Random(seed ^ Math.imul(part + 1, STREAM), place);
    const options = step >= mosaicFrom && step < mosaicUntil ? augmentation : { ...augmentation, mosaic: 0 };
    const parts = partsOf(options, random);
    const samples: Sample[] = [];
    for (let i = 0; i < parts; i += 1) {
      const index =
        i === 0
          ? order.at(place)
          : source.count === undefined
            ? // Those that come next anyway.
              place + i
            : random.below(source.count);
      const sample = await source.at(index);
      // A source may use its memory again for the next picture.
      samples.push(
        parts === 1 ? sample : { ...sample, image: { ...sample.image, data: sample.image.data.slice() } },
      );
    }
    return compose(samples, this.#spec.input, options, random, tensor);
  }
}
