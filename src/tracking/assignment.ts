// Optimal one-to-one assignment over a sparse set of allowed pairs.

/** Allowed pairs of one row: columns and what each pair is worth. */
export interface Candidates {
  readonly columns: readonly number[];
  readonly gains: readonly number[];
}

const NONE = -1;

/**
 * Finds the one-to-one matching with the greatest total gain. Pairs that are not listed, or whose gain is not above zero, are
 * never matched; a row or a column may stay alone.
 *
 * Shortest augmenting paths with dual prices (Jonker and Volgenant 1987; Crouse 2016), on the listed pairs only: each row also
 * has a column of its own that is worth nothing, and taking that one means staying alone. A search touches only what can be
 * reached from its row, so gated traffic costs far less than rows x columns.
 *
 * @param rows allowed pairs of each row, no column twice
 * @param columnCount columns are 0..columnCount - 1
 * @returns the column of each row, -1 for none
 */
export const assign = (rows: readonly Candidates[], columnCount: number): Int32Array => {
  const columnOf = new Int32Array(rows.length).fill(NONE);
  const rowOf = new Int32Array(columnCount).fill(NONE);
  const rowPrice = new Float64Array(rows.length);
  const columnPrice = new Float64Array(columnCount);
  const shortest = new Float64Array(columnCount).fill(Infinity);
  const cameFrom = new Int32Array(columnCount).fill(NONE);
  const scanned = new Uint8Array(columnCount);

  for (let start = 0; start < rows.length; start++) {
    const touched: number[] = [];
    const reached: number[] = [];
    let row = start;
    let length = 0;
    /** Cheapest way found so far that ends with some row staying alone. */
    let aloneLength = Infinity;
    let aloneRow = NONE;
    let end = NONE;

    for (;;) {
      const candidates = rows[row];
      const price = rowPrice[row] ?? 0;
      if (length - price < aloneLength) {
        aloneLength = length - price;
        aloneRow = row;
      }
      if (candidates !== undefined) {
        for (let k = 0; k < candidates.columns.length; k++) {
          const column = candidates.columns[k] ?? 0;
          const gain = candidates.gains[k] ?? 0;
          if (!(gain > 0) || scanned[column] === 1) continue;
          const through = length - gain - price - (columnPrice[column] ?? 0);
          const known = shortest[column] ?? Infinity;
          if (through >= known) continue;
          if (known === Infinity) touched.push(column);
          shortest[column] = through;
          cameFrom[column] = row;
        }
      }
      let nearest = NONE;
      let nearestLength = Infinity;
      for (const column of touched) {
        const here = shortest[column] ?? Infinity;
        if (scanned[column] === 0 && here < nearestLength) {
          nearest = column;
          nearestLength = here;
        }
      }
      if (nearest === NONE || aloneLength <= nearestLength) {
        length = aloneLength;
        break;
      }
      length = nearestLength;
      const owner = rowOf[nearest] ?? NONE;
      if (owner === NONE) {
        end = nearest;
        break;
      }
      scanned[nearest] = 1;
      reached.push(nearest);
      row = owner;
    }

    rowPrice[start] = (rowPrice[start] ?? 0) + length;
    for (const column of reached) {
      const slack = length - (shortest[column] ?? 0);
      const owner = rowOf[column] ?? 0;
      rowPrice[owner] = (rowPrice[owner] ?? 0) + slack;
      columnPrice[column] = (columnPrice[column] ?? 0) - slack;
    }

    // Walk the path back, handing each column to the row that reached it.
    let column = end;
    if (end === NONE) {
      column = columnOf[aloneRow] ?? NONE;
      columnOf[aloneRow] = NONE;
    }
    while (column !== NONE) {
      const taker = cameFrom[column] ?? NONE;
      const freed = columnOf[taker] ?? NONE;
      rowOf[column] = taker;
      columnOf[taker] = column;
      column = taker === start ? NONE : freed;
    }

    for (const column of touched) {
      shortest[column] = Infinity;
      cameFrom[column] = NONE;
      scanned[column] = 0;
    }
  }
  return columnOf;
};
