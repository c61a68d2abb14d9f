// The cells of a model's feature maps, one after the other: strides in their order, row by row.

export interface Grid {
  /** Cells of all strides. */
  readonly cells: number;
  /** Cells of each stride. */
  readonly perStride: readonly number[];
  /** Column, row and stride of each cell. */
  readonly column: Float32Array;
  readonly row: Float32Array;
  readonly stride: Float32Array;
}

/** Maps have ceil(side / stride) cells a side: what strided convolutions with padding leave. */
export const makeGrid = (width: number, height: number, strides: readonly number[]): Grid => {
  const sizes = strides.map((stride) => ({
    stride,
    columns: Math.ceil(width / stride),
    rows: Math.ceil(height / stride),
  }));
  const perStride = sizes.map(({ columns, rows }) => columns * rows);
  const cells = perStride.reduce((sum, count) => sum + count, 0);
  const [column, row, stride] = [new Float32Array(cells), new Float32Array(cells), new Float32Array(cells)];
  let cell = 0;
  for (const size of sizes) {
    for (let y = 0; y < size.rows; y += 1) {
      for (let x = 0; x < size.columns; x += 1, cell += 1) {
        column[cell] = x;
        row[cell] = y;
        stride[cell] = size.stride;
      }
    }
  }
  return { cells, perStride, column, row, stride };
};
