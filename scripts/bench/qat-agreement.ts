// How far a model's word is from its teacher's on pictures that neither learned from: what recipes without labels are chosen by.
import { pictureFeeds } from '../../src/quantization/index.js';
import { withSession } from '../../src/runtime/index.js';
import { FIRST_CLASS, OBJECTNESS } from '../../src/training/index.js';
import type { Runs } from './qat-runs.js';

/** Cells that the teacher is less sure of have no say about classes. */
const LEAST = 0.1;
const NEAR_ZERO = 1e-7;

/** What a model with a yolox head says of every held-out picture: [cells, 5 + classes] each. */
export const wordsOf = async (
  { data, detector, threads }: Runs,
  bytes: Uint8Array,
): Promise<Float32Array[]> => {
  const { head, input } = detector;
  const words: Float32Array[] = [];
  await withSession(bytes, { threads }, async (session) => {
    for await (const feeds of pictureFeeds(data.held, input, Infinity)()) {
      const said = head.type === 'yolox' ? (await session.run(feeds))[head.output] : undefined;
      if (said?.type !== 'float32') throw new Error('the model has no yolox head');
      words.push(said.data.slice());
    }
  });
  return words;
};

/** KL divergence of one yes or no. */
const divergence = (truth: number, said: number): number => {
  const [p, q] = [truth, said].map((value) => Math.min(1 - NEAR_ZERO, Math.max(NEAR_ZERO, value))) as [
    number,
    number,
  ];
  return p * Math.log(p / q) + (1 - p) * Math.log((1 - p) / (1 - q));
};

/**
 * Divergence of objectness at every cell and of classes where the teacher sees something, in proportion to its score; over the sum of
 * those scores.
 *
 * @param width numbers of a row
 */
export const teacherDivergence = (
  teacher: readonly Float32Array[],
  student: readonly Float32Array[],
  width: number,
): number => {
  let [sum, norm] = [0, 0];
  teacher.forEach((truth, picture) => {
    const said = student[picture] ?? new Float32Array();
    for (let row = 0; row < truth.length; row += width) {
      const at = (column: number): [number, number] => [truth[row + column] ?? 0, said[row + column] ?? 0];
      sum += divergence(...at(OBJECTNESS));
      let [most, classes] = [0, 0];
      for (let column = FIRST_CLASS; column < width; column++) {
        most = Math.max(most, at(column)[0]);
        classes += divergence(...at(column));
      }
      const score = most * at(OBJECTNESS)[0];
      if (score <= LEAST) continue;
      sum += score * classes;
      norm += score;
    }
  });
  return sum / norm;
};
