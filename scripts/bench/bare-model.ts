// The benchmark's end of the process that runs the bare model: it is idle except while a call waits for it.
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { BitlaneError } from '../../src/errors.js';
import type { InputSpec } from '../../src/registry/index.js';
import { spawnOwned, stopChild } from '../../src/system/index.js';

export type BareRequest =
  | {
      readonly type: 'open';
      readonly modelPath: string;
      readonly input: InputSpec;
      readonly threads: number;
      /** The picture that it runs on. */
      readonly jpeg: {
        readonly base64: string;
        readonly size: { readonly width: number; readonly height: number };
      };
    }
  | { readonly type: 'run'; readonly runs: number };

export interface BareReply {
  /** Milliseconds of each run. */
  readonly runs: readonly number[];
  readonly totalMs: number;
}

const DEADLINE_MS = 120_000;
const GRACE_MS = 1_000;

export interface BareModel {
  readonly pid: number | undefined;
  readonly run: (runs: number) => Promise<BareReply>;
  readonly stop: () => Promise<void>;
}

/** Starts the process and waits until the model is loaded. */
export const startBareModel = async (
  options: Omit<BareRequest & { type: 'open' }, 'type'>,
): Promise<BareModel> => {
  const child = spawnOwned(process.execPath, [fileURLToPath(new URL('./bare.js', import.meta.url))], {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  const ask = async (request: BareRequest): Promise<BareReply> => {
    const aborter = new AbortController();
    const ended = once(child, 'exit', { signal: aborter.signal }).then(() => {
      throw new BitlaneError('INTERNAL', 'the process of the bare model ended');
    });
    ended.catch(() => undefined);
    const signal = AbortSignal.any([aborter.signal, AbortSignal.timeout(DEADLINE_MS)]);
    const answer = once(child, 'message', { signal });
    child.send(request);
    try {
      const [reply] = (await Promise.race([answer, ended])) as [BareReply];
      return reply;
    } finally {
      aborter.abort();
    }
  };
  const stop = (): Promise<void> => stopChild(child, GRACE_MS);
  try {
    await ask({ type: 'open', ...options });
  } catch (error) {
    await stop();
    throw error;
  }
  return { pid: child.pid, run: (runs) => ask({ type: 'run', runs }), stop };
};
