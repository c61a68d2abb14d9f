// Which class of the data set each class of the model is: by name, with the usual synonyms.
import { BitlaneError } from '../errors.js';
import { foldName } from '../registry/index.js';

/** Spellings of one thing, already folded (lower case, no spaces, underscores or hyphens). */
const SYNONYMS: readonly (readonly string[])[] = [
  ['car', 'cars', 'automobile', 'automobiles'],
  ['truck', 'trucks', 'lorry', 'lorries'],
  ['bus', 'buses', 'busses', 'autobus', 'omnibus'],
  ['van', 'vans'],
  ['motorcycle', 'motorcycles', 'motorbike', 'motorbikes', 'moto'],
  ['bicycle', 'bicycles', 'bike', 'bikes', 'pushbike'],
  ['person', 'persons', 'people', 'pedestrian', 'pedestrians', 'human'],
  ['train', 'trains'],
  ['tram', 'trams', 'streetcar'],
  ['ambulance', 'ambulances'],
  ['airplane', 'airplanes', 'aeroplane', 'aeroplanes', 'plane'],
  ['trafficlight', 'trafficlights', 'trafficsignal'],
  ['couch', 'sofa'],
  ['tv', 'tvmonitor', 'television'],
  ['hairdrier', 'hairdryer'],
  ['donut', 'doughnut'],
  ['cellphone', 'mobilephone'],
];

const meaningOf = new Map(
  SYNONYMS.flatMap((group) => group.map((name) => [name, group[0] ?? name] as const)),
);

const meaning = (name: string): string => meaningOf.get(foldName(name)) ?? foldName(name);

/** How the classes of a model and of a data set meet. */
export interface ClassMap {
  /** Class names that the evaluation speaks of: the data set's, those spelled alike merged. */
  readonly classes: readonly string[];
  /** For each class of the data set, its index in `classes`. */
  readonly fromData: readonly number[];
  /** For each class of the model, its index in `classes`, or -1 where detections of it are dropped. */
  readonly fromModel: readonly number[];
  /** For each of `classes`, whether the model has a class for it. The others are left out of the mean. */
  readonly mapped: readonly boolean[];
  /** What a reader of the figures must know, in plain sentences. */
  readonly notes: readonly string[];
}

/** `from=to` of `--map`: a class of the model, and the class of the data set it counts as (empty: none). */
export interface ClassOverride {
  readonly from: string;
  readonly to: string;
}

/**
 * Parses `from=to,from=to,...`; an empty `to` drops the model's class.
 * @throws BitlaneError `BAD_USAGE`
 */
export const parseClassOverrides = (text: string): ClassOverride[] =>
  text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '')
    .map((part) => {
      const at = part.indexOf('=');
      const from = part.slice(0, at).trim();
      if (at < 1 || from === '') {
        throw new BitlaneError(
          'BAD_USAGE',
          `a class map is written model-class=data-class,..., and ${JSON.stringify(part)} is not`,
        );
      }
      return { from, to: part.slice(at + 1).trim() };
    });

/**
 * Maps by name. A model class goes to the data set's class that is spelled alike; where there is none, to the first
 * that means the same; `overrides` go first. Several classes of the model may go to one class of the data set.
 * @throws BitlaneError `BAD_USAGE` when an override names a class that is not there, or when nothing maps at all
 */
export const mapClasses = (
  modelClasses: readonly string[],
  dataClasses: readonly string[],
  overrides: readonly ClassOverride[] = [],
): ClassMap => {
  const notes: string[] = [];
  const classes: string[] = [];
  const bySpelling = new Map<string, number>();
  const byMeaning = new Map<string, number>();
  const fromData = dataClasses.map((name) => {
    const known = bySpelling.get(foldName(name));
    if (known !== undefined) {
      notes.push(`the data set's classes ${classes[known]} and ${name} are spelled alike and count as one`);
      return known;
    }
    const id = classes.push(name) - 1;
    bySpelling.set(foldName(name), id);
    if (!byMeaning.has(meaning(name))) byMeaning.set(meaning(name), id);
    return id;
  });
  const override = overridesByModelClass(modelClasses, overrides, bySpelling, classes);
  const fromModel = modelClasses.map(
    (name) =>
      override.get(foldName(name)) ?? bySpelling.get(foldName(name)) ?? byMeaning.get(meaning(name)) ?? -1,
  );
  const mapped = classes.map((_, id) => fromModel.includes(id));
  if (!mapped.includes(true)) {
    throw new BitlaneError(
      'BAD_USAGE',
      `no class of the model is a class of the data set (${classes.slice(0, 10).join(', ')}): say which is which with --map model-class=data-class,...`,
    );
  }
  const missing = classes.filter((_, id) => mapped[id] !== true);
  if (missing.length > 0) {
    notes.push(
      `the model has no class for ${missing.join(', ')}: left out of the mean (--map model-class=data-class changes that)`,
    );
  }
  return { classes, fromData, fromModel, mapped, notes };
};

const overridesByModelClass = (
  modelClasses: readonly string[],
  overrides: readonly ClassOverride[],
  bySpelling: ReadonlyMap<string, number>,
  classes: readonly string[],
): Map<string, number> => {
  const known = new Set(modelClasses.map(foldName));
  const result = new Map<string, number>();
  for (const { from, to } of overrides) {
    if (!known.has(foldName(from))) {
      throw new BitlaneError('BAD_USAGE', `--map names ${from}, which is not a class of the model`);
    }
    const target = to === '' ? -1 : bySpelling.get(foldName(to));
    if (target === undefined) {
      throw new BitlaneError(
        'BAD_USAGE',
        `--map names ${to}, which is not a class of the data set (${classes.slice(0, 20).join(', ')})`,
      );
    }
    result.set(foldName(from), target);
  }
  return result;
};
