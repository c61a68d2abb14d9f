// What the picture thread is asked and answers.
import type { Box, MaskPolygon, Picture } from '../vision/index.js';

export interface PictureJob {
  readonly id: number;
  readonly picture: Picture;
  readonly masks: readonly MaskPolygon[];
  /** Whole pixels inside the picture, one for each JPEG that is wanted. */
  readonly regions: readonly Box[];
  readonly quality: number;
}

export type PictureAnswer =
  | { readonly id: number; readonly jpegs: readonly Uint8Array[] }
  | { readonly id: number; readonly message: string };
