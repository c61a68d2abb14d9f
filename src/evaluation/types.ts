// What an evaluation reads: pictures with labelled objects, whatever the files on disk look like.
import type { Box } from '../vision/index.js';

/** One labelled object, in pixels of its picture. `classId` indexes the data set's `classes`. */
export interface LabelledObject extends Box {
  readonly classId: number;
  /** A region of many objects that nobody drew one by one: detections in it count neither for nor against. */
  readonly crowd: boolean;
}

/** What a picture holds. */
export interface Labels {
  /** Pixels of the picture, upright (EXIF orientation applied). */
  readonly width: number;
  readonly height: number;
  readonly objects: readonly LabelledObject[];
}

export interface Picture {
  readonly path: string;
  /** Unique within the data set. */
  readonly id: string;
}

/** One split of a data set. Opening it has read and checked every label; pictures are read when they are asked for. */
export interface DataSet {
  readonly name: string;
  /** The file that describes it. */
  readonly path: string;
  readonly split: string;
  readonly classes: readonly string[];
  readonly images: readonly Picture[];
  /** What was left out or repaired on the way, in plain sentences. */
  readonly notes: readonly string[];
  /** Labels of picture `index`. Throws `BAD_DATASET` when the picture cannot be read. */
  load(index: number): Promise<Labels>;
}
