// The bare model in a process of its own: runs it as often as it is told, and says how long that took.
import { inputTensor, newInputData, Preprocessor } from '../../src/vision/index.js';
import { openSession } from '../../src/runtime/index.js';
import type { BareReply, BareRequest } from './bare-model.js';

process.on('disconnect', () => process.exit(0));
const reply = (message: BareReply): void => void process.send?.(message);

process.once('message', (first: BareRequest) => {
  if (first.type !== 'open') throw new Error('the model is not open');
  const { modelPath, input, threads, jpeg } = first;
  void openSession(modelPath, { threads }).then((session) => {
    const pixels = newInputData(input);
    const data = Buffer.from(jpeg.base64, 'base64');
    new Preprocessor().preprocess({ format: 'jpeg', ...jpeg.size, data }, input, pixels);
    const feeds = { [input.name]: inputTensor(input, pixels) };
    process.on('message', (message: BareRequest) => {
      if (message.type !== 'run') return;
      void (async () => {
        const runs: number[] = [];
        const started = performance.now();
        for (let run = 0; run < message.runs; run += 1) {
          const at = performance.now();
          await session.run(feeds);
          runs.push(performance.now() - at);
        }
        reply({ runs, totalMs: performance.now() - started });
      })();
    });
    reply({ runs: [], totalMs: 0 });
  });
});
