// The teacher: the FP32 model, which says what it sees in the very pictures that the student is shown.
import { cloneModel, type Model, writeModel } from '../../onnx/index.js';
import type { DetectorSpec } from '../../registry/index.js';
import { openSession, type Session } from '../../runtime/index.js';
import { TEACHER } from '../loss/index.js';
import { setBatch } from '../step/batch.js';
import type { Batch } from '../types.js';

/** One session of its own. `release` it, on the error path too. */
export class Teacher {
  readonly #session: Session;
  readonly #detector: DetectorSpec;

  private constructor(session: Session, detector: DetectorSpec) {
    this.#session = session;
    this.#detector = detector;
  }

  /** @throws BitlaneError `BAD_MODEL` when the model does not take several pictures */
  static async open(model: Model, detector: DetectorSpec, batch: number, threads: number): Promise<Teacher> {
    const copy = cloneModel(model);
    setBatch(copy, batch);
    return new Teacher(await openSession(writeModel(copy), { threads }), detector);
  }

  /** The batch with the teacher's answers. */
  async complete(batch: Batch): Promise<Batch> {
    const { input, head } = this.#detector;
    const pictures = batch[input.name];
    if (pictures === undefined || head.type !== 'yolox') return batch;
    const answers = (await this.#session.run({ [input.name]: pictures }))[head.output];
    return answers === undefined ? batch : { ...batch, [TEACHER]: answers };
  }

  release(): Promise<void> {
    return this.#session.release();
  }
}
