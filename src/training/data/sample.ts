// What training learns from: pictures with what they show, one by one, by their number.
import type { Box, RgbImage } from '../../vision/index.js';
import type { Target } from '../loss/targets.js';

/** A picture with what it shows, in its own pixels. */
export interface Sample {
  readonly image: RgbImage;
  /** In the model's classes. */
  readonly objects: readonly Target[];
  /** Where nothing is known: no objectness is learnt there. */
  readonly ignored: readonly Box[];
}

/** Pictures by number: the same number always gives the same picture. */
export interface SampleSource {
  /** How many there are; `undefined` where there is no end of them. */
  readonly count: number | undefined;
  /** The pixels may be overwritten by the next call. */
  at(index: number): Promise<Sample>;
}

/**
 * A source that is opened in the loader's thread: `module` is a file that exports `openSource(options)`, which gives a
 * {@link SampleSource}.
 */
export interface SourceSpec {
  readonly module: URL;
  /** What can be sent to another thread. */
  readonly options: unknown;
}

/** What such a module exports. */
export interface SourceModule {
  readonly openSource: (options: never) => SampleSource | Promise<SampleSource>;
}
