// Observations: from tracks, teachers and operators, in and out of the store. Pure.
import type { ObservationRow, ObservationSum } from '../store/index.js';
import { type ClassName, type Example, type ExampleTrack, type Observation, SOURCES } from './types.js';

/** Background, as the store writes it. */
const NOTHING = '';

export const toObservationRow = ({ predicted, presumed, seenMs, ...rest }: Observation): ObservationRow => ({
  ...rest,
  // Frames are stamped more finely than that.
  seenMs: Math.round(seenMs),
  predicted: predicted ?? NOTHING,
  presumed: presumed ?? NOTHING,
});

/** Observations of one kind at about one time. */
export type Looks = Omit<Observation, 'about'> & {
  /** How many there are; `weight` is their sum. 1 when left out. */
  readonly looks?: number;
};

/** `undefined` for rows of a source that this program does not know. */
export const fromObservationSum = (sum: ObservationSum): Looks | undefined => {
  const source = SOURCES.find((known) => known === sum.source);
  if (source === undefined) return undefined;
  const nameOf = (name: string): ClassName | null => (name === NOTHING ? null : name);
  return { ...sum, source, predicted: nameOf(sum.predicted), presumed: nameOf(sum.presumed) };
};

/**
 * What a track says when its vehicle is of class `presumed`: its frames are no independent looks, so that together they weigh
 * `weight`, divided by how often each class was predicted.
 */
export const observeTrack = (
  { key, frames, votes }: ExampleTrack,
  said: Pick<Observation, 'presumed' | 'source' | 'seenMs' | 'model' | 'weight'>,
): Observation[] =>
  votes.map((vote) => ({
    ...said,
    predicted: vote.className,
    weight: (said.weight * vote.frames) / frames,
    about: key,
  }));

/** What one picture says. */
const observeExample = (
  { id, object }: Example,
  said: Pick<Observation, 'presumed' | 'source' | 'seenMs' | 'model' | 'weight'>,
): Observation => ({ ...said, predicted: object.className, about: `example/${id}` });

/**
 * What is observed of an example's vehicle once its label changed: the operator's word, or what was presumed where it was taken back.
 */
export const afterLabel = (
  example: Example,
  nowMs: number,
): { readonly rows: readonly ObservationRow[]; readonly instead: string } => {
  const { id, track, presumed, label, model, takenMs } = example;
  const instead = track?.key ?? `example/${id}`;
  const common = { seenMs: label === null ? takenMs : nowMs, model };
  const said =
    label !== null
      ? { ...common, presumed: label.className, source: 'operator' as const, weight: 1 }
      : presumed !== null
        ? { ...common, presumed: presumed.className, source: presumed.source, weight: presumed.confidence }
        : undefined;
  if (said === undefined) return { rows: [], instead };
  const observations = track === null ? [observeExample(example, said)] : observeTrack(track, said);
  return { rows: observations.map(toObservationRow), instead };
};
