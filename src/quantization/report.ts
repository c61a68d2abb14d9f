// How far each layer of a rewritten model is from the original: signal to quantization noise.
import { BitlaneError } from '../errors.js';
import { cloneModel, type Model, tensorOf } from '../onnx/index.js';
import type { Rewritten } from './rewrite.js';
import { type FeedSource, type TapOptions, tapValues } from './taps.js';

export interface LayerReport {
  readonly component: string;
  /** Decibels, over all feeds together; Infinity where nothing differs. */
  readonly sqnr: number;
}

interface Powers {
  signal: number;
  noise: number;
}

const ratio = ({ signal, noise }: Powers): number =>
  noise === 0 ? Infinity : 10 * Math.log10(signal / noise);

/** The rewritten model with a float value for the result of each component; its name by component. */
const withFloats = ({ model, components }: Rewritten): { model: Model; names: string[] } => {
  const copy = cloneModel(model);
  const { graph } = copy;
  const names = components.map(({ rewritten, grid }) => {
    const codes = graph.value(rewritten);
    if (grid === undefined || codes === undefined) return rewritten;
    const scale = graph.addInitializer('scale', tensorOf('float32', [], Float32Array.of(grid.scale)));
    const zero = graph.addInitializer('zero', tensorOf('uint8', [], Uint8Array.of(grid.zeroPoint)));
    const node = graph.addNode({ opType: 'DequantizeLinear', inputs: [codes, scale, zero] });
    const floats = node.output();
    if (floats === undefined) return rewritten;
    floats.type = 'float32';
    floats.shape = codes.shape;
    return floats.name;
  });
  return { model: copy, names };
};

/** Elements of a value and picture that are compared. */
const SAMPLES = 8_192;

/**
 * The output of every component in both models on the same inputs. An error of an earlier layer is in all that follow it. Takes
 * the feeds twice, and keeps evenly spread elements of what the first model gave for the second: 32 KB a layer and feed.
 *
 * @param prepared the model that was rewritten
 */
export const layerReport = async (
  prepared: Model,
  rewritten: Rewritten,
  feeds: FeedSource,
  options: TapOptions = {},
): Promise<LayerReport[]> => {
  const { model, names } = withFloats(rewritten);
  const powers = rewritten.components.map((): Powers => ({ signal: 0, noise: 0 }));
  const sampled = { ...options, samples: options.samples ?? SAMPLES };
  const references = [...new Set(rewritten.components.map(({ reference }) => reference))];
  const wanted = new Map<string, Float32Array>();
  const keyOf = (name: string, run: number): string => `${run} ${name}`;
  await tapValues(
    prepared,
    references,
    feeds,
    (name, values, run) => wanted.set(keyOf(name, run), values.slice()),
    sampled,
  );
  await tapValues(
    model,
    [...new Set(names)],
    feeds,
    (name, values, run) => {
      rewritten.components.forEach((component, index) => {
        const sum = powers[index];
        if (names[index] !== name || sum === undefined) return;
        const reference = wanted.get(keyOf(component.reference, run));
        if (reference?.length !== values.length) {
          throw new BitlaneError('INTERNAL', `${component.reference} and ${name} do not have the same shape`);
        }
        for (let i = 0; i < values.length; i++) {
          const value = reference[i] ?? 0;
          const error = value - (values[i] ?? 0);
          sum.signal += value * value;
          sum.noise += error * error;
        }
      });
    },
    sampled,
  );
  return rewritten.components.map(({ component }, index) => ({
    component: component.name,
    sqnr: ratio(powers[index] ?? { signal: 0, noise: 0 }),
  }));
};
