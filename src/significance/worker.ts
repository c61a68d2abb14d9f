// Evaluates components on chunks of pictures, in a process of its own; results lie on disk before they are reported.
import { asBitlaneError, BitlaneError } from '../errors.js';
import { readModel } from '../onnx/index.js';
import { type Component, componentsOf, prepareModel } from '../quantization/index.js';
import { type Entry, keepEntries, keptPerturbations } from './cache.js';
import { compactRows } from './compact.js';
import { Evaluator } from './evaluator.js';
import { looksAt } from './looks.js';
import { type Perturbations, perturbationOf, variantName, variantsOf } from './perturb.js';
import {
  type WorkerJob,
  type WorkerReply,
  workerRequestSchema,
  type WorkerSetup,
} from './worker-messages.js';

interface Ready {
  readonly setup: WorkerSetup;
  readonly evaluator: Evaluator;
  readonly components: readonly Component[];
  readonly perturbations: Perturbations;
}

let ready: Ready | undefined;

const reply = (message: WorkerReply): void => void process.send?.(message);

const prepare = async (setup: WorkerSetup): Promise<Ready> => {
  const model = prepareModel(readModel(setup.model));
  const perturbations = keptPerturbations(setup.folder, setup.bits);
  if (perturbations === undefined) throw new BitlaneError('INTERNAL', 'the rounded layers are missing');
  const evaluator = await Evaluator.open(model, setup.detector, { windows: setup.windows });
  return { setup, evaluator, components: componentsOf(model), perturbations };
};

const work = async (state: Ready, job: WorkerJob): Promise<void> => {
  const { setup, evaluator, components, perturbations } = state;
  const indexOf = new Map(components.map(({ name }, index) => [name, index]));
  const wanted = new Map(job.todo.map(({ index, variants }) => [index, new Set(variants)]));
  const variantsFor = (component: Component) => {
    const names = wanted.get(indexOf.get(component.name) ?? -1);
    return variantsOf(setup.bits)
      .filter((variant) => names?.has(variantName(variant)) === true)
      .flatMap((variant) => {
        const perturbation = perturbationOf(perturbations, component, variant);
        return perturbation === undefined ? [] : [{ name: variantName(variant), perturbation }];
      });
  };
  const indices = job.pictures.flatMap(({ rows }) => rows);
  await evaluator.run(await looksAt(setup.detector, job.pictures), {
    perturbations: (component) => variantsFor(component).map(({ perturbation }) => perturbation),
    done: (component, rows, errors) => {
      const entries = variantsFor(component).flatMap(({ name }, at): [string, Entry][] => {
        const [raw, error] = [rows[at], errors[at]];
        if (raw === undefined || error === undefined) return [];
        return [[name, { rows: compactRows(evaluator.rows, raw, indices, setup.space), errors: error }]];
      });
      keepEntries(
        setup.folder,
        job.chunk,
        indexOf.get(component.name) ?? 0,
        component.name,
        new Map(entries),
      );
      reply({ type: 'component' });
    },
  });
};

const answer = async (raw: unknown): Promise<void> => {
  try {
    const request = workerRequestSchema.parse(raw);
    switch (request.type) {
      case 'setup':
        ready = await prepare(request);
        reply({ type: 'ready' });
        return;
      case 'job':
        if (ready === undefined) throw new BitlaneError('INTERNAL', 'a job came before the setup');
        await work(ready, request);
        reply({ type: 'done' });
        return;
    }
  } catch (error) {
    const { code, message } = asBitlaneError(error);
    reply({ type: 'failed', code, message });
  }
};

process.on('message', (raw) => void answer(raw));
process.on('disconnect', () => process.exit(0));
