// The FP32 model's word about a frame that the serving model has seen. Pure.
import { pairPicture } from '../evaluation/index.js';
import { foldName } from '../registry/index.js';
import type { Detection } from '../vision/index.js';
import { type Candidate, inView } from './miner.js';
import type { Observation, Presumption } from './types.js';

/** What the teacher is less sure of is no word. */
const TEACHER_SCORE = 0.5;

/** What one model saw in a frame. */
export interface Look {
  readonly model: string;
  /** Names of the class indices. */
  readonly classes: readonly string[];
  readonly detections: readonly Detection[];
}

export interface TeacherWord {
  readonly observations: readonly Observation[];
  /** Where the two name different classes; with what the teacher says. */
  readonly candidates: readonly { readonly candidate: Candidate; readonly presumed: Presumption }[];
  /** Objects that both see, and of these the ones with the same class. */
  readonly both: number;
  readonly agreed: number;
}

/**
 * Holds what the serving model saw (from a score of 0.3 on, as the confusion matrix does) against what the teacher saw in the same
 * frame: best overlap first, one to one. Each meeting is an observation that weighs what the teacher's score says.
 * @param frame a name of the frame that is unique over restarts
 */
export const hearTeacher = (
  serving: Look,
  teacher: Look,
  { takenMs, frame }: { readonly takenMs: number; readonly frame: string },
): TeacherWord => {
  const observations: Observation[] = [];
  const candidates: TeacherWord['candidates'][number][] = [];
  let [both, agreed] = [0, 0];
  const objects = teacher.detections
    .filter(({ score }) => score > TEACHER_SCORE)
    .map((detection) => ({ ...detection, crowd: false }));
  const meetings = pairPicture({ objects, detections: [...serving.detections] });
  for (const [index, { object, detection }] of meetings.entries()) {
    const presumed = object === undefined ? null : (teacher.classes[object.classId] ?? null);
    const predicted = detection === undefined ? null : (serving.classes[detection.classId] ?? null);
    const confidence = objects.find((own) => own === object)?.score ?? detection?.score ?? 0;
    observations.push({
      seenMs: takenMs,
      source: 'teacher',
      predicted,
      presumed,
      weight: confidence,
      model: serving.model,
      about: `${frame}-${index}`,
    });
    if (predicted === null || presumed === null || detection === undefined) continue;
    both += 1;
    if (foldName(predicted) === foldName(presumed)) {
      agreed += 1;
      continue;
    }
    const [seen, others] = inView(serving, detection);
    candidates.push({
      candidate: {
        takenMs,
        reason: 'teacher',
        hardness: confidence,
        rivalName: presumed,
        model: serving.model,
        object: seen,
        others,
      },
      presumed: { className: presumed, source: 'teacher', confidence },
    });
  }
  return { observations, candidates, both, agreed };
};
