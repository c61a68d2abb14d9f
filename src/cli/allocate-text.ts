// What people read of an allocation: where the bits went, what it costs, the front as a table.
import type { CandidateScore } from '../adaptation/index.js';
import type { Budget, Dimension, FrontPoint, Met, Problem } from '../allocation/index.js';
import { candidateLines } from './candidates-option.js';
import { alignColumns } from './values.js';

export interface AllocationText {
  readonly problem: Problem;
  readonly met: Met;
  readonly budget: Budget;
  readonly points: readonly FrontPoint[] | undefined;
  readonly notes: readonly string[];
  readonly title: string;
  /** What whole candidates did, where they were compared. */
  readonly scores: readonly CandidateScore[];
}

const SHOWN: readonly (readonly [Dimension, string, (value: number) => string])[] = [
  ['modelBytes', 'bytes of the file', (value) => String(Math.round(value))],
  ['latencyMs', 'ms of a run', (value) => value.toFixed(3)],
  ['memoryMb', 'MB of the process', (value) => value.toFixed(1)],
  ['averageBits', 'bits a weight', (value) => value.toFixed(3)],
];

const BAR = 24;

const layers = ({ problem, met }: AllocationText): string[][] => {
  const total = Math.max(met.damage, 1e-300);
  return problem.damage.map(({ name, weights, int8 }, index) => {
    const entry = met.allocation.components[name];
    const bits = typeof entry?.bits === 'number' ? entry.bits : 32;
    const isInt8 = entry?.execution === 'int8';
    const own = weights[bits] + (isInt8 ? int8 : 0);
    return [
      name,
      String((problem.components[index]?.weightBytes ?? 0) / 4),
      String(bits),
      isInt8 ? 'int8' : 'fp32',
      `${((100 * own) / total).toFixed(1)} %`,
    ];
  });
};

const widths = ({ problem, met }: AllocationText): string[][] => {
  const all = problem.components.reduce((sum, { weightBytes }) => sum + weightBytes, 0);
  return [2, 4, 8, 32].map((width) => {
    const own = problem.components.filter(({ name }) => met.allocation.components[name]?.bits === width);
    const share = own.reduce((sum, { weightBytes }) => sum + weightBytes, 0) / Math.max(1, all);
    return [
      String(width),
      String(own.length),
      `${(100 * share).toFixed(1)} %`,
      '#'.repeat(Math.round(share * BAR)),
    ];
  });
};

const usage = ({ met, budget }: AllocationText): string[][] =>
  SHOWN.flatMap(([dimension, words, show]) => {
    const [said, taken, most] = [met.usage[dimension], met.measured[dimension], budget[dimension]];
    if (said === undefined && taken === undefined) return [];
    const cell = (value: number | undefined): string => (value === undefined ? '-' : show(value));
    return [[words, cell(said), cell(taken), cell(most)]];
  });

const front = (points: readonly FrontPoint[]): string[][] => {
  const worst = Math.max(...points.map(({ damage }) => damage), 1e-300);
  return points.map(({ modelBytes, latencyMs, averageBits, damage }) => [
    String(Math.round(modelBytes)),
    latencyMs === undefined ? '-' : latencyMs.toFixed(3),
    averageBits.toFixed(2),
    (damage / worst).toFixed(5),
  ]);
};

/** The whole text. */
export const allocationText = (given: AllocationText): string => {
  const { met, points, notes, title, scores } = given;
  const compared = candidateLines(scores);
  const proof =
    met.gap === 0 ? 'proved to be the least' : `at most ${(100 * met.gap).toFixed(2)} % above the least`;
  return [
    title,
    '',
    ...alignColumns([['layer', 'weights', 'bits', 'kernel', 'of the damage'], ...layers(given)]),
    '',
    ...alignColumns([['bits', 'layers', 'of the weights', ''], ...widths(given)]),
    '',
    ...alignColumns([['', 'model', 'artifact', 'budget'], ...usage(given)]),
    '',
    `expected damage ${met.damage.toPrecision(4)}, ${proof} by the models; ${met.rounds.length} ${met.rounds.length === 1 ? 'artifact' : 'artifacts'} measured`,
    ...(compared.length === 0 ? [] : ['', ...compared]),
    ...(met.allocation.foldSlices === true ? ['slices in front of fp32 layers are folded into them'] : []),
    ...(points === undefined
      ? []
      : ['', ...alignColumns([['bytes', 'ms', 'bits a weight', 'damage, of the worst'], ...front(points)])]),
    ...notes.map((note) => `note: ${note}`),
  ].join('\n');
};
