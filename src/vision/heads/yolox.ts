// The YOLOX head (Ge et al. 2021): x, y, w, h, objectness and class scores for every cell; score = objectness * class score.
import type { Tensors, ValueInfo } from '../../runtime/index.js';
import type { DetectorSpec, HeadSpec } from '../../registry/index.js';
import type { Box, Detection } from '../types.js';
import { type Grid, makeGrid } from './grid.js';
import {
  addDetection,
  centredBox,
  checkShapes,
  countNonFinite,
  type Decoded,
  describeHead,
  type Head,
  type Labels,
  nextBest,
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

  decode(outputs: Tensors, scoreThreshold: number, keep?: Uint8Array, labels: Labels = 'best'): Decoded {
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
      if (objectness * (values[best] ?? 0) < scoreThreshold) continue;
      const box = this.#box(values, at, cell);
      const overflows = Number(box.x2 === Infinity) + Number(box.y2 === Infinity);
      if (overflows > 0) {
        nonFinite += overflows;
        continue;
      }
      const classes = at + BOX + 1;
      const [first, last] = labels === 'all' ? [classes, at + width - 1] : [best, best];
      for (let i = first; i <= last; i += 1) {
        const score = objectness * (values[i] ?? 0);
        if (score < scoreThreshold) continue;
        const rival =
          labels === 'ranked' ? nextBest(values, classes, 1, this.#classes, i - classes, keep) : -1;
        const rivalScore = objectness * (values[classes + rival] ?? 0);
        addDetection(detections, box, i - classes, score, keep, rival, rivalScore);
      }
    }
    return { detections, nonFinite };
  }

  #box(values: Float32Array, at: number, cell: number): Box {
    const x = values[at] ?? 0;
    const y = values[at + 1] ?? 0;
    const w = values[at + 2] ?? 0;
    const h = values[at + 3] ?? 0;
    if (!this.#raw) return centredBox(x, y, w, h);
    const { column, row, stride } = this.#grid;
    const step = stride[cell] ?? 0;
    // Sides are rounded to what the model itself could have written: more is an overflow.
    return centredBox(
      (x + (column[cell] ?? 0)) * step,
      (y + (row[cell] ?? 0)) * step,
      Math.fround(Math.exp(w) * step),
      Math.fround(Math.exp(h) * step),
    );
  }
}
