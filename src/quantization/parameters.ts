// Scales and zero points of activations as initializers, each in the file once.
import { type Graph, tensorOf, type Value } from '../onnx/index.js';
import type { ChannelGrid } from './grid.js';
import { SHORT } from './joined.js';

/** Of one graph. */
export class GridParameters {
  readonly #graph: Graph;
  readonly #scales = new Map<ChannelGrid, Value>();
  readonly #zeros = new Map<number, Value>();

  constructor(graph: Graph) {
    this.#graph = graph;
  }

  /** Scale and zero point of a grid, scalars. */
  of(grid: ChannelGrid): [Value, Value] {
    const scale =
      this.#scales.get(grid) ??
      this.#graph.addInitializer(SHORT, tensorOf('float32', [], Float32Array.of(grid.scale)));
    this.#scales.set(grid, scale);
    const zero =
      this.#zeros.get(grid.zeroPoint) ??
      this.#graph.addInitializer(SHORT, tensorOf('uint8', [], Uint8Array.of(grid.zeroPoint)));
    this.#zeros.set(grid.zeroPoint, zero);
    return [scale, zero];
  }

  /** Scales and zero points by channel. */
  ofChannels(grids: readonly ChannelGrid[]): [Value, Value] {
    const dims = [grids.length];
    const scales = Float32Array.from(grids, ({ scale }) => scale);
    const zeros = Uint8Array.from(grids, ({ zeroPoint }) => zeroPoint);
    return [
      this.#graph.addInitializer(SHORT, tensorOf('float32', dims, scales)),
      this.#graph.addInitializer(SHORT, tensorOf('uint8', dims, zeros)),
    ];
  }
}
