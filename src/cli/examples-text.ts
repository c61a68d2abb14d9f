// Hard examples and observed confusions as text.
import type { CommandResult, ExampleMessage } from '../telemetry/index.js';
import { alignColumns } from './values.js';

const nameOf = (className: string | null): string => className ?? 'no vehicle';
const percent = (share: number): string => `${(100 * share).toFixed(0)} %`;
const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`;

export const listText = ({ examples, total, bytes }: CommandResult<'examples/list'>): string => {
  const summary = `${total} examples, ${megabytes(bytes)}`;
  if (examples.length === 0)
    return total === 0 ? 'No hard example is stored yet.' : `None of these; ${summary}`;
  const rows = examples.map(({ id, reason, object, presumed, label }) => [
    id,
    reason,
    `${object.class} ${object.score.toFixed(2)}`,
    object.rival === undefined ? '' : `${object.rival.class} ${object.rival.score.toFixed(2)}`,
    presumed === null ? '' : `${nameOf(presumed.class)} (${presumed.source})`,
    label === null ? '' : nameOf(label.class),
  ]);
  const head = ['example', 'reason', 'taken for', 'or', 'presumed', 'labelled'];
  return [...alignColumns([head, ...rows]), '', summary].join('\n');
};

export const exampleText = (example: ExampleMessage): string => {
  const { object, track, presumed, label, picture, others } = example;
  const rows: [string, string][] = [
    ['example', example.id],
    ['taken at', example.taken_at],
    ['reason', example.reason],
    ['model', example.model],
    ['taken for', `${object.class} ${object.score.toFixed(3)}`],
  ];
  if (object.rival !== undefined) {
    rows.push(['next best', `${object.rival.class} ${object.rival.score.toFixed(3)}`]);
  }
  rows.push(['box', object.box.map((value) => value.toFixed(0)).join(', ')]);
  rows.push(['picture', `${picture.width} x ${picture.height}, ${picture.bytes} bytes`]);
  if (others.length > 0) rows.push(['beside it', others.map((other) => other.class).join(', ')]);
  if (track !== null) {
    const votes = track.votes.map((vote) => `${vote.class} in ${vote.frames}`).join(', ');
    rows.push(['track', `${track.key}: ${track.frames} frames, ${votes}`]);
  }
  if (presumed !== null) {
    rows.push([
      'presumed',
      `${nameOf(presumed.class)} by the ${presumed.source}, ${percent(presumed.confidence)} sure`,
    ]);
  }
  rows.push(['label', label === null ? 'none' : nameOf(label.class)]);
  return alignColumns(rows).join('\n');
};

export const confusionsText = (report: CommandResult<'examples/confusions'>): string => {
  const { pairs, sources, window_days: days, half_life_days: halfLife } = report;
  const parts = (['operator', 'track', 'teacher'] as const).map(
    (source) =>
      `${source}: ${sources[source].observations} observations, weight ${sources[source].weight.toFixed(1)}`,
  );
  const rule = `window ${days} days, half-life ${halfLife} days`;
  if (pairs.length === 0) return ['No confusion is observed.', rule, ...parts].join('\n');
  const rows = pairs.map(({ a, b, a_as_b, b_as_a, support, rate, lower, critical, because, sources: by }) => [
    `${a}:${b}`,
    a_as_b.toFixed(1),
    b_as_a.toFixed(1),
    support.toFixed(1),
    rate.toFixed(3),
    lower.toFixed(3),
    ...(['operator', 'track', 'teacher'] as const).map(
      (source) => `${by[source].confused.toFixed(1)}/${by[source].support.toFixed(1)}`,
    ),
    critical ? `critical (${because})` : (because ?? ''),
  ]);
  const head = ['a:b', 'a as b', 'b as a', 'support', 'rate', '>=', 'operator', 'track', 'teacher', ''];
  return [...alignColumns([head, ...rows]), '', rule, ...parts].join('\n');
};
