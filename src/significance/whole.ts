// What a whole other model does to the objects that FP32 found: the sum that single components only add up to in theory.
import { type Model, readModel } from '../onnx/index.js';
import { packedInput, prepareModel } from '../quantization/index.js';
import type { DetectorSpec } from '../registry/index.js';
import { type Tensors, withSession } from '../runtime/index.js';
import { type ClassSpace, compactRows, compactWidth } from './compact.js';
import { looksAt } from './looks.js';
import { CriticalSet, type Effects, effectsOf, objectsOf } from './measures.js';
import { findObjects, type LabelledPicture } from './objects.js';
import { rowsOf, takeRows } from './rows.js';
import { resamples, spreadOf } from './statistics.js';

export interface WholeOptions {
  /** The FP32 model. */
  readonly model: { readonly path: string; readonly detector: DetectorSpec };
  readonly space: ClassSpace;
  readonly pictures: readonly LabelledPicture[];
  /** As in the map: indices of kept classes. */
  readonly groups: readonly (readonly number[])[];
  readonly temperature: number;
  readonly signal?: AbortSignal;
}

/** What a model does to all objects at once. */
export interface WholeEffects extends Effects {
  /** Mean KL within the critical groups, with its 95 % interval. */
  readonly kl: { readonly mean: number; readonly low: number; readonly high: number };
  /** Mean change of the loss, with its 95 % interval; undefined without labels. */
  readonly signed: { readonly mean: number; readonly low: number; readonly high: number } | undefined;
  readonly objects: number;
}

/**
 * Finds the objects of pictures with the FP32 model; what is returned measures other models with the same head on them. Both block
 * the thread.
 */
export const observeObjects = async (
  options: WholeOptions,
): Promise<(bytes: Uint8Array) => Promise<WholeEffects>> => {
  const { model: source, space, signal } = options;
  const model: Model = prepareModel(readModel(source.path));
  const found = await findObjects(model, source.detector, space, options.pictures, {
    ...(signal && { signal }),
  });
  const objects = objectsOf(found.pictures, options.pictures[0]?.objects !== undefined);
  const critical = new CriticalSet(
    objects,
    found.rows,
    found.pictures.length,
    { groups: options.groups, costs: [] },
    options.temperature,
  );
  const samples = resamples(found.pictures.length);
  const width = compactWidth(space);
  const rowsIn = (outputs: Tensors, indices: readonly number[]): Float32Array => {
    const rows = rowsOf(source.detector, outputs);
    return compactRows(rows, takeRows(rows, outputs, indices), indices, space);
  };
  return (bytes) =>
    withSession(bytes, { threads: 1 }, async (session) => {
      const all = new Float32Array(objects.length * width);
      // What was packed from the same model may take bytes.
      const detector = { ...source.detector, input: packedInput(session.inputs, source.detector.input) };
      let at = 0;
      for (const picture of found.pictures) {
        signal?.throwIfAborted();
        const [look] = await looksAt(detector, [picture]);
        if (look === undefined) continue;
        const own = rowsIn(await session.run(look.feed), picture.rows);
        all.set(own, at);
        at += own.length;
      }
      const measured = critical.measure(all);
      return {
        ...effectsOf(measured),
        kl: spreadOf(measured.divergence, samples),
        signed: measured.signed && spreadOf(measured.signed, samples),
        objects: critical.size,
      };
    });
};
