// Significance maps for tests.
import type { SignificanceMap } from '../../src/significance/index.js';

export interface Entry {
  readonly signed: number;
  readonly divergence: number;
  readonly objectness: number;
  readonly box: number;
  readonly others: number;
  readonly outputError: number;
  readonly weightError: number;
  /** Of both second-order baselines; a map without them where it is left out. */
  readonly information?: number;
}

export interface MapEntry {
  readonly weights: Readonly<Partial<Record<'2' | '4' | '8', Entry | undefined>>>;
  readonly activations?: Entry | null | undefined;
}

const ID = 'ab'.repeat(32);

const measures = ({ signed, divergence, objectness, box, others, outputError }: Entry) => ({
  signed: { mean: signed, low: signed, high: signed },
  divergence: { mean: divergence, low: divergence, high: divergence },
  guards: { objectness, box, others },
  robust: { divergence: { mean: divergence, low: divergence, high: divergence }, objectness, box, others },
  outputError,
});

/** @param trust split-half correlation of the divergence at all widths */
export const mapOf = (
  entries: Readonly<Record<string, MapEntry>>,
  trust: number | null,
  model = ID,
): SignificanceMap => {
  const reliability = { divergence: trust, robust: trust };
  const all = { '2': reliability, '4': reliability, '8': reliability };
  return {
    format: 'bitlane-significance',
    version: 2,
    model,
    data: { name: 'test', split: 'train', pictures: 1, fingerprint: ID },
    granularity: 'layer',
    critical: {
      classes: ['car', 'truck'],
      pairs: [['car', 'truck']],
      groups: [['car', 'truck']],
      objects: 1,
      allObjects: 1,
      labelled: true,
      costs: [],
    },
    temperature: 1,
    rounding: 'nearest',
    components: Object.fromEntries(
      Object.entries(entries).map(([name, { weights, activations }]) => [
        name,
        {
          weights: Object.fromEntries(
            Object.entries(weights).flatMap(([width, entry]) =>
              entry === undefined
                ? []
                : [
                    [
                      width,
                      {
                        ...measures(entry),
                        ...(entry.information !== undefined && {
                          fisher: entry.information,
                          hawq: entry.information,
                        }),
                        relativeWeightError: entry.weightError,
                      },
                    ],
                  ],
            ),
          ),
          activations: activations
            ? { '8': { ...measures(activations), relativeInputError: activations.weightError } }
            : {},
        },
      ]),
    ),
    reliability: { weights: all, activations: all },
  };
};
