// The head of YOLOv8 and v11: cx, cy, w, h in input pixels and class scores, for every anchor; no objectness.
import type { DetectorSpec, HeadSpec } from '../../registry/index.js';
import type { Tensors, ValueInfo } from '../../runtime/index.js';
import type { Detection } from '../types.js';
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

export class Yolov8Head implements Head {
  readonly #channelsFirst: boolean;
  readonly #classes: number;
  readonly #output: OutputShape;
  readonly #needs: string;
  /** Best score and its class for each anchor; grown on demand. */
  #best = new Float32Array(0);
  #bestClass = new Uint16Array(0);

  constructor(head: Extract<HeadSpec, { type: 'yolov8' }>, { classes }: DetectorSpec) {
    this.#channelsFirst = head.layout === 'channels-first';
    this.#classes = classes.length;
    const channels = BOX + classes.length;
    this.#output = {
      name: head.output,
      shape: this.#channelsFirst ? [1, channels, undefined] : [1, undefined, channels],
    };
    this.#needs = describeHead('yolov8', classes.length);
  }

  checkOutputs(outputs: readonly ValueInfo[]): void {
    checkShapes([this.#output], outputs, this.#needs);
  }

  decode(outputs: Tensors, scoreThreshold: number, keep?: Uint8Array, labels: Labels = 'best'): Decoded {
    const values = valuesOf(outputs, this.#output, this.#needs);
    const channels = BOX + this.#classes;
    const anchors = values.length / channels;
    // Strides from one channel of an anchor to the next, and from one anchor to the next.
    const [channelStep, anchorStep] = this.#channelsFirst ? [anchors, 1] : [1, channels];
    let nonFinite = this.#findBest(values, anchors, channelStep, anchorStep);
    const detections: Detection[] = [];
    for (let anchor = 0; anchor < anchors; anchor += 1) {
      if (!((this.#best[anchor] ?? 0) >= scoreThreshold)) continue;
      const at = anchor * anchorStep;
      const x = values[at] ?? 0;
      const y = values[at + channelStep] ?? 0;
      const w = values[at + 2 * channelStep] ?? 0;
      const h = values[at + 3 * channelStep] ?? 0;
      const bad = [x, y, w, h].filter((value) => !Number.isFinite(value)).length;
      if (bad > 0) {
        nonFinite += bad;
        continue;
      }
      const box = centredBox(x, y, w, h);
      const best = this.#bestClass[anchor] ?? 0;
      const [first, last] = labels === 'all' ? [0, this.#classes - 1] : [best, best];
      for (let classId = first; classId <= last; classId += 1) {
        const score = values[at + (BOX + classId) * channelStep] ?? 0;
        if (score < scoreThreshold) continue;
        const from = at + BOX * channelStep;
        const rival =
          labels === 'ranked' ? nextBest(values, from, channelStep, this.#classes, classId, keep) : -1;
        const rivalScore = values[from + rival * channelStep] ?? 0;
        addDetection(detections, box, classId, score, keep, rival, rivalScore);
      }
    }
    return { detections, nonFinite };
  }

  /** Best class of every anchor, in the order that the memory has; NaN for an anchor with a score that is no number. */
  #findBest(values: Float32Array, anchors: number, channelStep: number, anchorStep: number): number {
    if (this.#best.length < anchors) {
      this.#best = new Float32Array(anchors);
      this.#bestClass = new Uint16Array(anchors);
    }
    const [best, bestClass] = [this.#best, this.#bestClass];
    best.fill(-Infinity, 0, anchors);
    if (this.#channelsFirst) {
      for (let classId = 0; classId < this.#classes; classId += 1) {
        const from = (BOX + classId) * channelStep;
        for (let anchor = 0; anchor < anchors; anchor += 1) {
          const score = values[from + anchor] ?? 0;
          if (score > (best[anchor] ?? 0)) {
            best[anchor] = score;
            bestClass[anchor] = classId;
          }
        }
      }
    } else {
      for (let anchor = 0; anchor < anchors; anchor += 1) {
        const from = anchor * anchorStep + BOX;
        let top = from;
        for (let i = from + 1; i < from + this.#classes; i += 1) {
          if ((values[i] ?? 0) > (values[top] ?? 0)) top = i;
        }
        best[anchor] = values[top] ?? 0;
        bestClass[anchor] = top - from;
      }
    }
    return this.#poison(values, anchors, channelStep, anchorStep);
  }

  #poison(values: Float32Array, anchors: number, channelStep: number, anchorStep: number): number {
    if (countNonFinite(values, 0, values.length) === 0) return 0;
    let nonFinite = 0;
    for (let anchor = 0; anchor < anchors; anchor += 1) {
      for (let classId = 0; classId < this.#classes; classId += 1) {
        if (Number.isFinite(values[anchor * anchorStep + (BOX + classId) * channelStep])) continue;
        nonFinite += 1;
        this.#best[anchor] = NaN;
      }
    }
    return nonFinite;
  }
}
