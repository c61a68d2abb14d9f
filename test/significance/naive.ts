// The slow way: the whole network once more for every component, with nothing cut, kept or shared.
import { cloneModel, type Model, tensorOf, writeModel } from '../../src/onnx/index.js';
import { type Component, componentsOf, fakeQuantize, joinGrids } from '../../src/quantization/index.js';
import { floatTensor, type Tensors, withSession } from '../../src/runtime/index.js';
import type { Perturbation } from '../../src/significance/alone.js';

/** The outputs of `model` for `feed` with one component perturbed. */
export const naiveOutputs = async (
  model: Model,
  component: Component,
  perturbation: Perturbation,
  feed: Tensors,
): Promise<Tensors> => {
  const copy = cloneModel(model);
  const { graph } = copy;
  const own = componentsOf(copy).find(({ name }) => name === component.name);
  const node = [...graph.nodes()].find((each) => each.output()?.name === own?.output);
  if (node === undefined) throw new Error(`no ${component.name}`);
  if (perturbation.kind === 'weights') {
    const { weights, bias } = perturbation;
    node.setInput(1, graph.addInitializer('w', tensorOf('float32', component.weightDims, weights)));
    if (bias !== undefined) {
      node.setInput(2, graph.addInitializer('b', tensorOf('float32', [bias.length], bias)));
    }
    return withSession(writeModel(copy), {}, (session) => session.run(feed));
  }
  const seen = graph.value(component.input);
  if (seen === undefined) throw new Error(`no ${component.input}`);
  const tapped = cloneModel(copy);
  const inner = tapped.graph.value(component.input);
  if (inner !== undefined && !inner.isInput && !inner.isOutput) tapped.graph.addOutput(inner);
  const plain = await withSession(writeModel(tapped), {}, (session) => session.run(feed));
  const x = plain[component.input] ?? feed[component.input];
  if (x?.type !== 'float32') throw new Error(`no values of ${component.input}`);
  const rounded = graph.addInput('rounded.input', 'float32', seen.shape);
  node.setInput(0, rounded);
  const data = fakeQuantize(x.data, joinGrids([perturbation.grid], null));
  return withSession(writeModel(copy), {}, (session) =>
    session.run(
      Object.fromEntries([
        ...graph.inputs.flatMap(({ name }) => {
          const tensor = feed[name];
          return tensor === undefined ? [] : [[name, tensor] as const];
        }),
        ['rounded.input', floatTensor(x.dims, data)],
      ]),
    ),
  );
};
