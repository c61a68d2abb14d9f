// The loader's thread: reads, changes and packs pictures while the main thread is held by the step.
import { parentPort, workerData } from 'node:worker_threads';
import { asBitlaneError } from '../../errors.js';
import { Batches } from './batches.js';
import type { LoaderReply, LoaderRequest, LoaderSetup } from './loader.js';
import type { SourceModule } from './sample.js';

const open = async (): Promise<Batches> => {
  const { sources, options } = workerData as LoaderSetup;
  const opened = [];
  for (const { module, options: about, share } of sources) {
    const { openSource } = (await import(module)) as SourceModule;
    opened.push({ source: await openSource(about as never), share });
  }
  return new Batches(opened, options);
};

const port = parentPort;
if (port !== null) {
  const batches = open();
  batches.catch(() => undefined);
  let last: Promise<void> = Promise.resolve();
  port.on('message', ({ step }: LoaderRequest) => {
    last = last.then(async () => {
      let reply: LoaderReply;
      try {
        reply = { step, batch: await (await batches).at(step) };
      } catch (error) {
        const { code, message } = asBitlaneError(error);
        reply = { step, error: { code, message } };
      }
      const buffers = Object.values(reply.batch ?? {}).map(({ data }) => data.buffer as ArrayBuffer);
      port.postMessage(reply, buffers);
    });
  });
}
