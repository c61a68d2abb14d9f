// Measures a significance map: every component alone in several processes, means of what came out.
import { type ComponentRows, componentRows } from './component-rows.js';
import { addInformation } from './gradient/information-map.js';
import { groundOf, type SignificanceOptions } from './ground.js';
import type { SignificanceMap } from './map.js';
import type { CriticalSet } from './measures.js';
import type { FoundObjects } from './objects.js';
import { KINDS, type Perturbations, variantsOf } from './perturb.js';
import { chunksOf } from './plan.js';
import { summarize } from './summary.js';

export interface MeasuredSignificance {
  readonly map: SignificanceMap;
  /** Critical pairs with how often they were confused, where the confusion matrix showed them. */
  readonly confusion: FoundObjects['confusion'];
  /** Mean loss of D_crit in FP32; NaN without labels. */
  readonly loss: number;
  readonly isWindowed: boolean;
  /** Everything by object, for comparisons. */
  readonly rows: ComponentRows;
  readonly critical: CriticalSet;
  /** Rounded layers, as they were measured. */
  readonly perturbations: Perturbations;
}

/**
 * Measures the significance map of a model. What was measured before is taken from the cache; a run that was killed goes on where it
 * was. Blocks the thread while objects are found and layers rounded; components are evaluated in processes of their own, none of
 * which is left.
 *
 * @throws BitlaneError `BAD_DATASET` where no critical class, or no object of one, is found; `UNSUPPORTED` for a head without class
 *   distribution; `BAD_MODEL` when the model cannot be run; the reason of `signal`
 */
export const measureSignificance = async (options: SignificanceOptions): Promise<MeasuredSignificance> => {
  const { model: source, space, signal } = options;
  const { bits = [2, 4], rounding = 'gptq', processes = 1 } = options;
  const { model, components, found, objects, critical, plan, folder, perturbations, data, criticality } =
    await groundOf(options);
  const chunks = chunksOf(found.pictures, plan.chunk);
  const rows = await componentRows(chunks, plan, {
    components,
    variants: variantsOf(bits, options.kinds),
    setup: {
      type: 'setup',
      model: source.path,
      detector: source.detector,
      space: { classes: [...space.classes], fromModel: [...space.fromModel] },
      windows: plan.windows,
      folder,
      bits: [...bits],
    },
    processes,
    signal,
    onProgress: (done, all) => options.onProgress?.('measuring', done, all),
  });
  const map = summarize({
    model: source.id,
    data,
    critical,
    criticality,
    rounding,
    bits,
    kinds: options.kinds ?? KINDS,
    components,
    perturbations,
    rows,
    pictures: found.pictures.length,
  });
  if (options.baselines === true) {
    await addInformation(map, {
      model,
      detector: source.detector,
      space,
      found,
      objects,
      components,
      perturbations,
      bits,
      ...(signal && { signal }),
      onProgress: (done, all) => options.onProgress?.('information', done, all),
    });
  }
  return {
    map,
    confusion: found.confusion,
    loss: critical.loss(),
    isWindowed: plan.windows,
    rows,
    critical,
    perturbations,
  };
};
