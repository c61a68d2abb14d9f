// The teacher: the FP32 model, which says what it sees in the very pictures that the student is shown.
import { BitlaneError } from '../../errors.js';
import { cloneModel, type Model, writeModel } from '../../onnx/index.js';
import type { DetectorSpec } from '../../registry/index.js';
import { floatTensor, openSession, type Session, type Tensor } from '../../runtime/index.js';
import { putRight, teacherFeature, TARGETS, TEACHER, TEACHER_WEIGHT, yoloxSpec } from '../loss/index.js';
import { setBatch } from '../step/batch.js';
import type { Batch } from '../types.js';

export interface TeacherOptions {
  /** Where labels stand beside the teacher's word and put it right: what they count. */
  readonly wordWeight?: number;
  /** Values of the model that the student is to have, too, by name. */
  readonly features?: readonly string[];
}

/** One session of its own. `release` it, on the error path too. */
export class Teacher {
  readonly #session: Session;
  readonly #detector: DetectorSpec;
  readonly #wordWeight: number | undefined;
  readonly #features: readonly string[];

  private constructor(session: Session, detector: DetectorSpec, options: TeacherOptions) {
    this.#session = session;
    this.#detector = detector;
    this.#wordWeight = options.wordWeight;
    this.#features = options.features ?? [];
  }

  /**
   * @throws BitlaneError `BAD_MODEL` when the model does not take several pictures, or lacks one of the features
   */
  static async open(
    model: Model,
    detector: DetectorSpec,
    batch: number,
    threads: number,
    options: TeacherOptions = {},
  ): Promise<Teacher> {
    const copy = cloneModel(model);
    setBatch(copy, batch);
    for (const name of options.features ?? []) {
      const value = copy.graph.value(name);
      if (value === undefined) throw new BitlaneError('BAD_MODEL', `the teacher has no value ${name}`);
      if (!value.isOutput) copy.graph.addOutput(value);
    }
    return new Teacher(await openSession(writeModel(copy), { threads }), detector, options);
  }

  /** The batch with the teacher's answers. */
  async complete(batch: Batch): Promise<Batch> {
    const { input, head } = this.#detector;
    const pictures = batch[input.name];
    if (pictures === undefined || head.type !== 'yolox') return batch;
    const results = await this.#session.run({ [input.name]: pictures });
    const answers = results[head.output];
    if (answers === undefined) return batch;
    const features: Record<string, Tensor> = {};
    for (const name of this.#features) {
      const feature = results[name];
      if (feature !== undefined) features[teacherFeature(name)] = feature;
    }
    const targets = batch[TARGETS];
    if (this.#wordWeight === undefined || answers.type !== 'float32' || targets?.type !== 'float32') {
      return { ...batch, ...features, [TEACHER]: answers };
    }
    const spec = yoloxSpec(this.#detector);
    const weights = putRight(answers.data, targets.data, spec, this.#wordWeight);
    const [count = 1, cells = 1] = answers.dims;
    return {
      ...batch,
      ...features,
      [TEACHER]: answers,
      [TEACHER_WEIGHT]: floatTensor([count, cells], weights),
    };
  }

  release(): Promise<void> {
    return this.#session.release();
  }
}
