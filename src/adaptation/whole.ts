// What whole other models do to the objects of some pictures, for those who choose between them.
import type { ClassMap, DataSet } from '../evaluation/index.js';
import { BitlaneError } from '../errors.js';
import type { Artifact } from '../registry/index.js';
import {
  type Effects,
  labelledPictures,
  observeObjects,
  type SignificanceMap,
  type WholeEffects,
} from '../significance/index.js';

export interface WholeData {
  readonly dataSet: DataSet;
  readonly map: ClassMap;
  readonly signal?: AbortSignal;
}

/**
 * Measures whole models, given as bytes, on pictures: on labelled objects where the map is of such, else on what the FP32 model finds. That
 * one looks at the pictures when the first model is measured. Blocks the thread.
 *
 * @throws BitlaneError `BAD_DATASET` where the pictures do not know a critical class
 */
export const wholeMeter = (
  parent: Artifact,
  { critical, temperature }: Pick<SignificanceMap, 'critical' | 'temperature'>,
  { dataSet, map, signal }: WholeData,
): ((bytes: Uint8Array) => Promise<WholeEffects>) => {
  let observing: ReturnType<typeof observeObjects> | undefined;
  const observe = async (): ReturnType<typeof observeObjects> =>
    observeObjects({
      model: { path: parent.modelPath, detector: parent.manifest.detector },
      space: { classes: map.classes, fromModel: map.fromModel },
      pictures: await labelledPictures(dataSet, map, critical.labelled),
      groups: critical.groups.map((group) => group.map((name) => indexOf(name, map, dataSet))),
      temperature,
      ...(signal !== undefined && { signal }),
    });
  return async (bytes) => (await (observing ??= observe()))(bytes);
};

const indexOf = (name: string, { classes }: ClassMap, { path }: DataSet): number => {
  const index = classes.indexOf(name);
  if (index >= 0) return index;
  throw new BitlaneError(
    'BAD_DATASET',
    `${path} has no class ${name}, which the significance map tells apart`,
  );
};

/** What is compared: the mean divergence itself. Robust forms are for sums over layers, whose effects are of few objects. */
export const comparable = ({ kl, objectness, box, others }: WholeEffects): Effects => ({
  divergence: kl.mean,
  objectness,
  box,
  others,
});
