// The teacher: the FP32 model, which says what it sees in the very pictures that the student is shown.
import { cloneModel, type Model, writeModel } from '../../onnx/index.js';
import type { DetectorSpec } from '../../registry/index.js';
import { floatTensor, openSession, type Session } from '../../runtime/index.js';
import { putRight, TARGETS, TEACHER, TEACHER_WEIGHT, yoloxSpec } from '../loss/index.js';
import { setBatch } from '../step/batch.js';
import type { Batch } from '../types.js';

/** One session of its own. `release` it, on the error path too. */
export class Teacher {
  readonly #session: Session;
  readonly #detector: DetectorSpec;
  readonly #wordWeight: number | undefined;

  private constructor(session: Session, detector: DetectorSpec, wordWeight: number | undefined) {
    this.#session = session;
    this.#detector = detector;
    this.#wordWeight = wordWeight;
  }

  /**
   * @param wordWeight where labels stand beside the teacher's word and put it right: what they count
   * @throws BitlaneError `BAD_MODEL` when the model does not take several pictures
   */
  static async open(
    model: Model,
    detector: DetectorSpec,
    batch: number,
    threads: number,
    wordWeight?: number,
  ): Promise<Teacher> {
    const copy = cloneModel(model);
    setBatch(copy, batch);
    return new Teacher(await openSession(writeModel(copy), { threads }), detector, wordWeight);
  }

  /** The batch with the teacher's answers. */
  async complete(batch: Batch): Promise<Batch> {
    const { input, head } = this.#detector;
    const pictures = batch[input.name];
    if (pictures === undefined || head.type !== 'yolox') return batch;
    const answers = (await this.#session.run({ [input.name]: pictures }))[head.output];
    if (answers === undefined) return batch;
    const targets = batch[TARGETS];
    if (this.#wordWeight === undefined || answers.type !== 'float32' || targets?.type !== 'float32') {
      return { ...batch, [TEACHER]: answers };
    }
    const spec = yoloxSpec(this.#detector);
    const weights = putRight(answers.data, targets.data, spec, this.#wordWeight);
    const [count = 1, cells = 1] = answers.dims;
    return { ...batch, [TEACHER]: answers, [TEACHER_WEIGHT]: floatTensor([count, cells], weights) };
  }

  release(): Promise<void> {
    return this.#session.release();
  }
}
