// Labels that nobody gave: what a teacher is sure to see in pictures without labels, found before the first step.
import { existsSync, readFileSync } from 'node:fs';
import { z } from 'zod';
import { BitlaneError } from '../../errors.js';
import { mapClasses, openPictures, predict } from '../../evaluation/index.js';
import { type Model, writeModel } from '../../onnx/index.js';
import { type DetectorSpec, withTemporaryArtifact } from '../../registry/index.js';
import { writeFileAtomic } from '../../system/index.js';

/** Objects that the teacher is so sure of are labels. */
const SURE = 0.4;
/** Where it may have seen something, nothing is denied: between this and {@link SURE}. */
const PERHAPS = 0.1;

const boxSchema = z.strictObject({ x1: z.number(), y1: z.number(), x2: z.number(), y2: z.number() });

const pictureSchema = z.strictObject({
  objects: z.array(boxSchema.extend({ classId: z.int().nonnegative(), weight: z.number().min(0).max(1) })),
  ignored: z.array(boxSchema),
});

const presumedSchema = z.record(z.string(), pictureSchema);

/** By the path of a picture: objects in the model's classes and the picture's pixels, each counting as much as the teacher is sure. */
export type PresumedLabels = z.infer<typeof presumedSchema>;

export interface PresumeOptions {
  readonly folder: string;
  readonly threads?: number;
  readonly signal?: AbortSignal;
}

/**
 * What `teacher` sees in the pictures below a folder, each whole and as it is: surer than what it would say of what augmentation makes
 * of them.
 *
 * @throws BitlaneError `BAD_DATASET` where there are no pictures, or one cannot be read; the reason of `signal`
 */
export const presumeLabels = async (
  teacher: Model,
  detector: DetectorSpec,
  { folder, threads = 1, signal }: PresumeOptions,
): Promise<PresumedLabels> => {
  const pictures = openPictures(folder);
  const map = mapClasses(detector.classes, detector.classes);
  const { results } = await withTemporaryArtifact(
    writeModel(teacher),
    { name: 'a teacher', detector },
    (artifact) => predict(artifact, pictures, map, { threads, score: PERHAPS }, undefined, signal),
  );
  return Object.fromEntries(
    pictures.images.map(({ path }, index) => {
      const detections = results[index]?.detections ?? [];
      const boxOf = ({ x1, y1, x2, y2 }: (typeof detections)[number]) => ({ x1, y1, x2, y2 });
      return [
        path,
        {
          objects: detections
            .filter(({ score }) => score >= SURE)
            .map((found) => ({ ...boxOf(found), classId: found.classId, weight: found.score })),
          ignored: detections.filter(({ score }) => score < SURE).map(boxOf),
        },
      ];
    }),
  );
};

/**
 * Presumed labels from `file`; where it is not there yet, they are found and kept in it.
 *
 * @throws BitlaneError `BAD_DATASET` where the file is no such file; what {@link presumeLabels} throws
 */
export const keptLabels = async (
  file: string,
  find: () => Promise<PresumedLabels>,
): Promise<PresumedLabels> => {
  if (!existsSync(file)) writeFileAtomic(file, JSON.stringify(await find()));
  return readLabels(file);
};

/** @throws BitlaneError `BAD_DATASET` where the file holds no presumed labels */
const readLabels = (file: string): PresumedLabels => {
  try {
    return presumedSchema.parse(JSON.parse(readFileSync(file, 'utf8')));
  } catch (error) {
    throw new BitlaneError(
      'BAD_DATASET',
      `${file} holds no presumed labels: remove it to have them found again`,
      {
        cause: error,
      },
    );
  }
};
