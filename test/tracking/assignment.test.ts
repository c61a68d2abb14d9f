import fc from 'fast-check';
import t from 'tap';
import { assign, type Candidates } from '../../src/tracking/assignment.js';

/** Best total by trying everything: each row stays alone or takes any free column. */
const bestTotal = (rows: readonly Candidates[], taken: ReadonlySet<number> = new Set(), row = 0): number => {
  const candidates = rows[row];
  if (candidates === undefined) return 0;
  let best = bestTotal(rows, taken, row + 1);
  for (const [k, column] of candidates.columns.entries()) {
    const gain = candidates.gains[k] ?? 0;
    if (taken.has(column) || !(gain > 0)) continue;
    best = Math.max(best, gain + bestTotal(rows, new Set([...taken, column]), row + 1));
  }
  return best;
};

/** Total gain of a matching, after checking that it is one and that each pair was allowed. */
const totalOf = (rows: readonly Candidates[], columnOf: Int32Array): number => {
  const used = [...columnOf].filter((column) => column !== -1);
  if (new Set(used).size !== used.length) throw new Error('a column was given twice');
  return rows.reduce((sum, { columns, gains }, row) => {
    const column = columnOf[row] ?? -1;
    if (column === -1) return sum;
    const k = columns.indexOf(column);
    const gain = gains[k] ?? NaN;
    if (k === -1 || !(gain > 0)) throw new Error('a pair was matched that was not allowed');
    return sum + gain;
  }, 0);
};

const problem = (maxRows: number, maxColumns: number, gain: fc.Arbitrary<number>) =>
  fc.integer({ min: 0, max: maxColumns }).chain((columnCount) =>
    fc.record({
      columnCount: fc.constant(columnCount),
      rows: fc.array(
        fc
          .subarray(
            Array.from({ length: columnCount }, (_, column) => column),
            { minLength: 0 },
          )
          .chain((columns) =>
            fc
              .array(gain, { minLength: columns.length, maxLength: columns.length })
              .map((gains): Candidates => ({ columns, gains })),
          ),
        { maxLength: maxRows },
      ),
    }),
  );

t.test('is as good as trying everything', async () => {
  fc.assert(
    fc.property(
      problem(
        6,
        6,
        fc.oneof(fc.double({ min: -0.5, max: 1, noNaN: true }), fc.constantFrom(0, 0.25, 0.5, 1)),
      ),
      ({ rows, columnCount }) => {
        const columnOf = assign(rows, columnCount);
        return columnOf.length === rows.length && Math.abs(totalOf(rows, columnOf) - bestTotal(rows)) < 1e-9;
      },
    ),
    { numRuns: 2000 },
  );
});

t.test('prefers two good pairs to one better', async (t) => {
  const rows = [
    { columns: [0, 1], gains: [0.9, 0.8] },
    { columns: [0], gains: [0.7] },
  ];
  t.same([...assign(rows, 2)], [1, 0]);
});

t.test('leaves a row alone rather than break a better pair', async (t) => {
  const rows = [
    { columns: [0], gains: [0.9] },
    { columns: [0], gains: [0.3] },
  ];
  t.same([...assign(rows, 1)], [0, -1]);
  t.same([...assign([...rows].reverse(), 1)], [-1, 0]);
});

t.test('no rows, no columns, nothing allowed, NaN', async (t) => {
  t.same([...assign([], 3)], []);
  t.same([...assign([{ columns: [], gains: [] }], 0)], [-1]);
  t.same([...assign([{ columns: [0, 1], gains: [NaN, -1] }], 2)], [-1]);
});

t.test(
  'large dense problems: no pair of rows gains by an exchange, and it equals a dense solver',
  async () => {
    fc.assert(
      fc.property(
        fc.array(fc.array(fc.integer({ min: 1, max: 1000 }), { minLength: 25, maxLength: 25 }), {
          minLength: 25,
          maxLength: 25,
        }),
        (matrix) => {
          const rows = matrix.map((gains) => ({ columns: gains.map((_, column) => column), gains }));
          return totalOf(rows, assign(rows, 25)) === denseBest(matrix);
        },
      ),
      { numRuns: 100 },
    );
  },
);

/** Independent: the Bertsekas auction with integer gains and a final step below 1/n, which is exact. */
const denseBest = (matrix: readonly (readonly number[])[]): number => {
  const n = matrix.length;
  const prices = new Array<number>(n).fill(0);
  const owner = new Array<number>(n).fill(-1);
  const waiting = matrix.map((_, row) => row);
  const step = 1 / (n + 1);
  for (let row = waiting.pop(); row !== undefined; row = waiting.pop()) {
    const values = (matrix[row] ?? []).map((gain, column) => gain - (prices[column] ?? 0));
    const best = values.indexOf(Math.max(...values));
    const second = Math.max(...values.filter((_, column) => column !== best));
    prices[best] = (prices[best] ?? 0) + (values[best] ?? 0) - second + step;
    const before = owner[best] ?? -1;
    if (before !== -1) waiting.push(before);
    owner[best] = row;
  }
  return owner.reduce((sum, row, column) => sum + (matrix[row]?.[column] ?? NaN), 0);
};
