// The YOLOX head (Ge et al. 2021): x, y, w, h, objectness and class scores for every cell; score = objectness * class score.
import type { Tensors, ValueInfo } from '../../runtime/index.js';
import type { DetectorSpec, HeadSpec } from '../../registry/index.js';
import type { Detection } from '../types.js';
import { type Grid, makeGrid } from './grid.js';
import {
  addDetection,
  checkShapes,
  countNonFinite,
  type Decoded,
  describeHead,
  type Head,
  type OutputShape,
  valuesOf,
} from './head.js';

const BOX = 4;

export class YoloxHead implements Head {
  readonly #raw: boolean;
  readonly #grid: Grid;
  readonly #classes: number;
  readonly #output: OutputShape;
  readonly #needs: string;

  constructor(head: Extract<HeadSpec, { type: 'yolox' }>, { input, classes }: DetectorSpec) {
    this.#raw = head.boxes === 'raw';
    this.#grid = makeGrid(input.width, input.height, head.strides);
    this.#classes = classes.length;
    // Boxes that the graph has decoded can lie in any grid.
    const cells = this.#raw ? this.#grid.cells : undefined;
    this.#output = { name: head.output, shape: [1, cells, BOX + 1 + classes.length] };
    this.#needs = describeHead('yolox', classes.length, input);
  }

  checkOutputs(outputs: readonly ValueInfo[]): void {
    checkShapes([this.#output], outputs, this.#needs);
  }

  decode(outputs: Tensors, scoreThreshold: number, keep?: Uint8Array): Decoded {
    const values = valuesOf(outputs, this.#output, this.#needs);
    const width = BOX + 1 + this.#classes;
    const detections: Detection[] = [];
    let nonFinite = 0;
    for (let at = 0, cell = 0; at < values.length; at += width, cell += 1) {
      const objectness = values[at + BOX] ?? 0;
      // No class score is above 1, so most cells end here; one that is not a number goes on and is counted.
      if (objectness < scoreThreshold && objectness !== -Infinity) continue;
      const bad = countNonFinite(values, at, at + width);
      if (bad > 0) {
        nonFinite += bad;
        continue;
      }
      let best = at + BOX + 1;
      for (let i = best + 1; i < at + width; i += 1) {
        if ((values[i] ?? 0) > (values[best] ?? 0)) best = i;
      }
      const score = objectness * (values[best] ?? 0);
      if (score < scoreThreshold) continue;
      nonFinite += this.#add(detections, values, at, cell, best - at - BOX - 1, score, keep);
    }
    return { detections, nonFinite };
  }

  /** Returns how many sides of the box overflowed. */
  #add(
    into: Detection[],
    values: Float32Array,
    at: number,
    cell: number,
    classId: number,
    score: number,
    keep: Uint8Array | undefined,
  ): number {
    let x = values[at] ?? 0;
    let y = values[at + 1] ?? 0;
    let w = values[at + 2] ?? 0;
    let h = values[at + 3] ?? 0;
    if (this.#raw) {
      const { column, row, stride } = this.#grid;
      const step = stride[cell] ?? 0;
      x = (x + (column[cell] ?? 0)) * step;
      y = (y + (row[cell] ?? 0)) * step;
      // Rounded to what the model itself could have written: more is an overflow.
      w = Math.fround(Math.exp(w) * step);
      h = Math.fround(Math.exp(h) * step);
      const overflows = Number(w === Infinity) + Number(h === Infinity);
      if (overflows > 0) return overflows;
    }
    addDetection(into, x - w / 2, y - h / 2, x + w / 2, y + h / 2, classId, score, keep);
    return 0;
  }
}
