// The end-to-end head: rows of x1, y1, x2, y2, score, class; suppression is the graph's business.
import type { DetectorSpec, HeadSpec } from '../../registry/index.js';
import type { Tensors, ValueInfo } from '../../runtime/index.js';
import type { Detection } from '../types.js';
import {
  addDetection,
  checkShapes,
  countNonFinite,
  type Decoded,
  type Head,
  type OutputShape,
  valuesOf,
} from './head.js';

const ROW = 6;
const NEEDS = 'an end-to-end head';

export class EndToEndHead implements Head {
  readonly #classes: number;
  readonly #output: OutputShape;

  constructor(head: Extract<HeadSpec, { type: 'end-to-end' }>, { classes }: DetectorSpec) {
    this.#classes = classes.length;
    this.#output = { name: head.output, shape: [1, undefined, ROW] };
  }

  checkOutputs(outputs: readonly ValueInfo[]): void {
    checkShapes([this.#output], outputs, NEEDS);
  }

  /** Rows of a class that does not exist (exporters mark unused rows with -1) are left out. */
  decode(outputs: Tensors, scoreThreshold: number, keep?: Uint8Array): Decoded {
    const values = valuesOf(outputs, this.#output, NEEDS);
    const detections: Detection[] = [];
    let nonFinite = 0;
    for (let at = 0; at < values.length; at += ROW) {
      const bad = countNonFinite(values, at, at + ROW);
      nonFinite += bad;
      const score = values[at + 4] ?? 0;
      const classId = values[at + 5] ?? 0;
      if (bad > 0 || score < scoreThreshold) continue;
      if (!Number.isInteger(classId) || classId < 0 || classId >= this.#classes) continue;
      const box = {
        x1: values[at] ?? 0,
        y1: values[at + 1] ?? 0,
        x2: values[at + 2] ?? 0,
        y2: values[at + 3] ?? 0,
      };
      addDetection(detections, box, classId, score, keep);
    }
    return { detections, nonFinite };
  }
}
