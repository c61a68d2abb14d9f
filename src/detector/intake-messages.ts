// What the intake thread and the model's thread of one detector process say to each other.
import type { InputSpec } from '../registry/index.js';
import type { InputData, PreparedPicture } from '../vision/index.js';

/** `workerData` of the intake. */
export interface IntakeData {
  readonly input: InputSpec;
}

export type IntakeMessage =
  | ({
      readonly type: 'prepared';
      /** `undefined`: a grey picture that warms the model up. */
      readonly seq: number | undefined;
      /** Frames that the model's thread was given itself, and that come before this one. */
      readonly after: number;
      /** Handed over with its memory, never copied; handed back when the model is done. */
      readonly tensor: InputData;
      readonly preprocessMs: number;
    } & PreparedPicture)
  /** All grey pictures are prepared. */
  | { readonly type: 'warm' }
  | { readonly type: 'dropped'; readonly seq: number; readonly reason: string }
  /** The frame channel is broken or closed. */
  | { readonly type: 'failed'; readonly message: string };
