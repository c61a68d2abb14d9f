// The report of an adaptation: one HTML page that holds everything it shows.
import { plotFront } from '../allocation/index.js';
import { describeDevice, type Interval } from '../evaluation/index.js';
import type { Artifact } from '../registry/index.js';
import { drawMap } from '../significance/index.js';
import type { Adapted } from './options.js';
import {
  page,
  pageHeading as heading,
  pageParagraph as paragraph,
  pagePicture as picture,
  pageTable as table,
} from '../system/index.js';
import { drawAllocation, drawConfusion } from './charts.js';
import type { Evidence } from './documents.js';
import type { Agreement } from './teacher.js';

const figure = (value: number | null | undefined, digits = 3): string =>
  value === null || value === undefined || !Number.isFinite(value) ? '-' : value.toFixed(digits);
const interval = ({ value, low, high }: Interval): string =>
  `${figure(value)} (${figure(low)} to ${figure(high)})`;

/** Whether a change is more than chance, in words. */
const verdict = ({ value, low, high }: Interval): string =>
  !Number.isFinite(value)
    ? 'not known'
    : low > 0
      ? 'better, outside chance'
      : high < 0
        ? 'worse, outside chance'
        : 'no more than chance';

const confusedSection = ({ significance, evidence }: Adapted): string[] => {
  const { critical, data } = significance;
  const measured = `Critical pairs: ${critical.pairs.map((pair) => pair.join(' and ')).join(', ')}. Significance was measured on ${critical.objects} objects of these classes in ${data.pictures} pictures of ${data.split}`;
  if (evidence.kind === 'teacher') {
    return [heading('1. What the model confuses'), paragraph(`${measured}.`)];
  }
  const { before, after, pictures, split } = evidence.comparison;
  return [
    heading('1. What the model confuses'),
    paragraph(
      `${measured}; the matrices are those of ${pictures} pictures of ${split}, which nothing was tuned on.`,
    ),
    '<div class="pair">',
    picture(drawConfusion(before.confusion, 'before')),
    picture(drawConfusion(after.confusion, 'after')),
    '</div>',
  ];
};

const significanceSection = ({ significance }: Adapted): string[] => {
  const trust = (['2', '4', '8'] as const).flatMap((bits) => {
    const value = significance.reliability.weights[bits]?.robust;
    return value === undefined || value === null ? [] : [`${value.toFixed(2)} at ${bits} bits`];
  });
  return [
    heading('2. Which layers tell them apart'),
    paragraph(
      `Each layer alone is rounded, everything else left as it was; the bars say how far that moves the model's word on the critical classes. The order of layers repeats itself on the other half of the objects to ${trust.join(', ')} (1: exactly).`,
    ),
    picture(drawMap(significance)),
  ];
};

const candidateRows = ({ candidates }: Adapted): string[][] =>
  candidates.map(({ objective, damage, effects, sameAs, isChosen }) => [
    isChosen ? `${objective} (chosen)` : objective,
    sameAs !== undefined
      ? `the same as ${sameAs}`
      : damage === null
        ? 'not within the budget'
        : figure(damage, 4),
    ...(['divergence', 'objectness', 'box', 'others'] as const).map((name) => figure(effects?.[name], 5)),
  ]);

const candidateSection = (adapted: Adapted): string[] =>
  adapted.candidates.some(({ damage }) => damage !== null)
    ? [
        paragraph(
          'A sum over layers does not say all of what a whole model does: allocations by several objectives were rounded and held against the original on training pictures. The one with the least damage was kept.',
        ),
        table(
          ['allocated by', 'damage of the whole', 'critical classes', 'objectness', 'boxes', 'other classes'],
          candidateRows(adapted),
        ),
      ]
    : [];

const allocationSection = (adapted: Adapted): string[] => {
  const { allocated: met, components, front, artifact } = adapted;
  const { manifest } = artifact;
  const shares = new Map<number, number>();
  for (const component of components) {
    const bits = met.allocation.components[component.name]?.bits;
    if (typeof bits === 'number') {
      shares.set(bits, (shares.get(bits) ?? 0) + component.weightBytes / 4);
    }
  }
  const weights = [...shares.values()].reduce((sum, count) => sum + count, 0);
  return [
    heading('3. Where the bits went'),
    ...candidateSection(adapted),
    table(
      ['bits', 'layers', 'share of the weights'],
      [...shares]
        .sort(([a], [b]) => a - b)
        .map(([bits, count]) => [
          bits === 32 ? 'FP32' : String(bits),
          String(Object.values(met.allocation.components).filter((entry) => entry.bits === bits).length),
          `${figure((100 * count) / weights, 1)} %`,
        ]),
    ),
    picture(drawAllocation(components, met.allocation, `${manifest.name}: bits of each layer`)),
    paragraph('Damage over the size of the file, everything that is possible:', 'note'),
    picture(
      plotFront(front, 'what a budget buys', {
        modelBytes: met.measured.modelBytes ?? met.usage.modelBytes ?? 0,
        damage: met.damage,
        label: 'chosen',
      }),
    ),
  ];
};

const change = (name: string, before: number, after: number, difference: Interval): string[] => [
  name,
  figure(before),
  figure(after),
  interval(difference),
  verdict(difference),
];

const agreementRows = ({
  frames,
  objects,
  before,
  after,
  change: difference,
  naming,
}: Agreement): string[][] => [
  change(`agreement with the FP32 model (${objects} objects in ${frames} frames)`, before, after, difference),
  ...(naming === undefined ? [] : [change('the same, on names', naming.before, naming.after, naming.change)]),
];

const judgedRows = (evidence: Evidence): string[][] => {
  const { agreement } = evidence;
  const byTeacher = agreement === undefined ? [] : agreementRows(agreement);
  if (evidence.kind === 'teacher') return byTeacher;
  const { before, after, map50Change, map5095Change, criticalChange } = evidence.comparison;
  return [
    change('mAP50', before.map50, after.map50, map50Change),
    change('mAP50-95', before.map5095, after.map5095, map5095Change),
    change(
      `critical accuracy (${before.criticalObjects} and ${after.criticalObjects} objects)`,
      before.criticalAccuracy,
      after.criticalAccuracy,
      criticalChange,
    ),
    ...byTeacher,
  ];
};

const outcomeSection = (
  parent: Artifact,
  { evidence, made: quantized, artifact, allocated: met }: Adapted,
): string[] => {
  const { manifest } = artifact;
  const { budget = {} } = manifest;
  const limits = [
    ...(budget.modelBytes === undefined
      ? []
      : [['file, bytes', String(budget.modelBytes), String(manifest.modelBytes)]]),
    ...(budget.latencyMs === undefined
      ? []
      : [['one run, ms', figure(budget.latencyMs, 1), figure(met.measured.latencyMs, 1)]]),
    ...(budget.memoryMb === undefined
      ? []
      : [['peak memory, MB', figure(budget.memoryMb, 0), figure(met.measured.memoryMb, 0)]]),
  ];
  return [
    heading('4. What came of it'),
    table(
      ['', 'before', 'after', 'change (95 %)', ''],
      [
        ...judgedRows(evidence),
        [
          'file, bytes',
          String(parent.manifest.modelBytes),
          String(manifest.modelBytes),
          `ratio ${figure(quantized.bytesRatio)}`,
          '',
        ],
        [
          'one run, ms',
          figure(quantized.latency.parentMs, 1),
          figure(quantized.latency.ms, 1),
          `ratio ${interval(quantized.latency.ratio)}`,
          '',
        ],
      ],
    ),
    ...(limits.length === 0 ? [] : [table(['budget', 'at most', 'measured'], limits)]),
  ];
};

/** A self-contained page: no script, nothing that is fetched. */
export const adaptationReport = (parent: Artifact, adapted: Adapted): string => {
  const { manifest } = adapted.artifact;
  const title = `${parent.manifest.name}, adapted to what it confuses`;
  return page(title, [
    paragraph(
      `${manifest.name} (${manifest.id.slice(0, 12)}) from ${parent.manifest.name} (${parent.id.slice(0, 12)}), ${manifest.createdAt}, on ${describeDevice().name}.`,
      'note',
    ),
    ...confusedSection(adapted),
    ...significanceSection(adapted),
    ...allocationSection(adapted),
    ...outcomeSection(parent, adapted),
  ]);
};
