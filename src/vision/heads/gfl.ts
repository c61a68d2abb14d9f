// The generalized-focal-loss head of NanoDet and PicoDet (Li et al. 2020): a box is four distances from a point, each the mean of
// a distribution over 0..regMax strides.
import { BitlaneError } from '../../errors.js';
import type { DetectorSpec, HeadSpec } from '../../registry/index.js';
import type { Tensors, ValueInfo } from '../../runtime/index.js';
import type { Box, Detection } from '../types.js';
import { type Grid, makeGrid } from './grid.js';
import {
  addDetection,
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

/** Where the scores and distances of some consecutive cells lie. */
interface Level {
  readonly firstCell: number;
  readonly cells: number;
  readonly scores: OutputShape;
  readonly scoreWidth: number;
  readonly distances: OutputShape;
  readonly distanceWidth: number;
  /** Of the distances in a row. */
  readonly distanceStart: number;
}

export class GflHead implements Head {
  readonly #head: Extract<HeadSpec, { type: 'gfl' }>;
  readonly #grid: Grid;
  readonly #classes: number;
  readonly #levels: readonly Level[];
  readonly #needs: string;

  /** @throws BitlaneError `BAD_MODEL` when the head names another number of outputs than its layout and strides need */
  constructor(head: Extract<HeadSpec, { type: 'gfl' }>, { input, classes }: DetectorSpec) {
    this.#head = head;
    this.#grid = makeGrid(input.width, input.height, head.strides);
    this.#classes = classes.length;
    this.#needs = describeHead('gfl', classes.length, input);
    this.#levels = levelsOf(head, classes.length, this.#grid);
  }

  checkOutputs(outputs: readonly ValueInfo[]): void {
    const shapes = this.#levels.flatMap(({ scores, distances }) =>
      scores === distances ? [scores] : [scores, distances],
    );
    checkShapes(shapes, outputs, this.#needs);
  }

  decode(outputs: Tensors, scoreThreshold: number, keep?: Uint8Array, labels: Labels = 'best'): Decoded {
    const logits = this.#head.scores === 'logits';
    // The sigmoid rises: comparing logits with the threshold's logit spares most of the exponentials.
    const threshold = logits ? Math.log(scoreThreshold / (1 - scoreThreshold)) : scoreThreshold;
    const detections: Detection[] = [];
    let nonFinite = 0;
    for (const level of this.#levels) {
      const scores = valuesOf(outputs, level.scores, this.#needs);
      const distances = valuesOf(outputs, level.distances, this.#needs);
      for (let cell = 0, at = 0; cell < level.cells; cell += 1, at += level.scoreWidth) {
        const bad = countNonFinite(scores, at, at + this.#classes);
        if (bad > 0) {
          nonFinite += bad;
          continue;
        }
        let best = at;
        for (let i = at + 1; i < at + this.#classes; i += 1) {
          if ((scores[i] ?? 0) > (scores[best] ?? 0)) best = i;
        }
        if ((scores[best] ?? 0) < threshold) continue;
        const from = cell * level.distanceWidth + level.distanceStart;
        const badDistances = countNonFinite(distances, from, from + 4 * (this.#head.regMax + 1));
        if (badDistances > 0) {
          nonFinite += badDistances;
          continue;
        }
        const box = this.#box(distances, from, level.firstCell + cell);
        const [first, last] = labels === 'all' ? [at, at + this.#classes - 1] : [best, best];
        for (let i = first; i <= last; i += 1) {
          const value = scores[i] ?? 0;
          if (value < threshold) continue;
          const rival = labels === 'ranked' ? nextBest(scores, at, 1, this.#classes, i - at, keep) : -1;
          const [score, rivalScore] = [value, scores[at + rival] ?? 0].map((raw) =>
            logits ? 1 / (1 + Math.exp(-raw)) : raw,
          );
          addDetection(detections, box, i - at, score ?? 0, keep, rival, rivalScore);
        }
      }
    }
    return { detections, nonFinite };
  }

  #box(distances: Float32Array, from: number, cell: number): Box {
    const { regMax, cellOffset } = this.#head;
    const stride = this.#grid.stride[cell] ?? 0;
    const x = ((this.#grid.column[cell] ?? 0) + cellOffset) * stride;
    const y = ((this.#grid.row[cell] ?? 0) + cellOffset) * stride;
    const bins = regMax + 1;
    return {
      x1: x - meanOf(distances, from, bins) * stride,
      y1: y - meanOf(distances, from + bins, bins) * stride,
      x2: x + meanOf(distances, from + 2 * bins, bins) * stride,
      y2: y + meanOf(distances, from + 3 * bins, bins) * stride,
    };
  }
}

/** Mean of the bin numbers under the softmax of their logits. */
const meanOf = (logits: Float32Array, from: number, bins: number): number => {
  let highest = -Infinity;
  for (let i = from; i < from + bins; i += 1) highest = Math.max(highest, logits[i] ?? 0);
  let [total, weighted] = [0, 0];
  for (let bin = 0; bin < bins; bin += 1) {
    const share = Math.exp((logits[from + bin] ?? 0) - highest);
    total += share;
    weighted += share * bin;
  }
  return weighted / total;
};

const levelsOf = (head: Extract<HeadSpec, { type: 'gfl' }>, classes: number, grid: Grid): Level[] => {
  const distanceWidth = 4 * (head.regMax + 1);
  const strides = head.strides.length;
  const whole = head.layout === 'joined' && head.outputs.length === 1;
  const boxOutputs = head.layout === 'split' ? strides : 0;
  if ((head.outputs.length !== strides && !whole) || head.boxOutputs.length !== boxOutputs) {
    throw new BitlaneError(
      'BAD_MODEL',
      `a gfl head of ${strides} strides has ${
        head.layout === 'split'
          ? `${strides} score outputs and ${strides} distance outputs`
          : `one output, or ${strides}`
      }; this one names ${head.outputs.length} and ${head.boxOutputs.length}`,
    );
  }
  const perOutput = whole ? [grid.cells] : grid.perStride;
  let firstCell = 0;
  return perOutput.map((cells, index): Level => {
    const name = head.outputs[index] ?? '';
    const first = firstCell;
    firstCell += cells;
    const width = head.layout === 'split' ? classes : classes + distanceWidth;
    const scores: OutputShape = { name, shape: [1, cells, width] };
    const split = head.layout === 'split';
    return {
      firstCell: first,
      cells,
      scores,
      scoreWidth: width,
      distances: split ? { name: head.boxOutputs[index] ?? '', shape: [1, cells, distanceWidth] } : scores,
      distanceWidth: split ? distanceWidth : width,
      distanceStart: split ? 0 : classes,
    };
  });
};
