// Asking the running daemon over its control socket.
import { connect } from 'node:net';
import { z } from 'zod';
import { asBitlaneError, BitlaneError, type ErrorCode } from '../errors.js';
import { assertSocketPath, controlSocketPath } from './control-server.js';

/** A picture of a large camera fits. */
const MAX_ANSWER_BYTES = 33_554_432;
const DEFAULT_TIMEOUT_MS = 10_000;

const answerSchema = z.union([
  z.object({ ok: z.literal(true), result: z.unknown() }),
  z.object({ ok: z.literal(false), error: z.object({ code: z.string(), message: z.string() }) }),
]);

const notReached = (runtimeDir: string, error: Error): BitlaneError => {
  const code = 'code' in error ? error.code : undefined;
  if (code === 'EACCES' || code === 'EPERM') {
    return new BitlaneError(
      'BAD_USAGE',
      `the daemon may not be asked by this user: run the command as root, or as a member of the group of ${controlSocketPath(runtimeDir)}`,
    );
  }
  return new BitlaneError(
    'UNREACHABLE',
    `no daemon runs with the runtime folder ${runtimeDir}: start it (systemctl start bitlane), or name its configuration with --config`,
  );
};

const parseAnswer = (text: string): unknown => {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new BitlaneError('INTERNAL', 'the daemon did not answer with JSON');
  }
  const answer = answerSchema.safeParse(value);
  if (!answer.success) throw new BitlaneError('INTERNAL', 'the answer of the daemon cannot be understood');
  if (answer.data.ok) return answer.data.result;
  const { code, message } = answer.data.error;
  // The daemon speaks in the product's codes.
  throw new BitlaneError(code as ErrorCode, message);
};

/**
 * Sends one command to the daemon with this runtime folder and returns its result.
 *
 * @param options `timeoutMs`: how long the answer may take (10 s when left out)
 * @throws BitlaneError UNREACHABLE when no daemon runs there, TIMEOUT when it does not answer; otherwise the daemon's own
 * refusal, code and sentence
 */
export const callDaemon = (
  runtimeDir: string,
  name: string,
  payload: Readonly<Record<string, unknown>> = {},
  options: { readonly timeoutMs?: number; readonly signal?: AbortSignal } = {},
): Promise<unknown> =>
  new Promise((resolve, reject) => {
    const { timeoutMs = DEFAULT_TIMEOUT_MS, signal } = options;
    if (signal?.aborted === true) {
      reject(asBitlaneError(signal.reason));
      return;
    }
    assertSocketPath(controlSocketPath(runtimeDir));
    const socket = connect(controlSocketPath(runtimeDir));
    const chunks: Buffer[] = [];
    let bytes = 0;
    let isConnected = false;
    const finish = (settle: () => void): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
      socket.destroy();
      settle();
    };
    const fail = (error: BitlaneError): void => finish(() => reject(error));
    const onAbort = (): void => fail(asBitlaneError(signal?.reason));
    const timer = setTimeout(
      () =>
        fail(
          new BitlaneError('TIMEOUT', `the daemon did not answer "${name}" within ${timeoutMs / 1_000} s`),
        ),
      timeoutMs,
    );
    signal?.addEventListener('abort', onAbort, { once: true });
    socket.on('connect', () => {
      isConnected = true;
      socket.write(`${JSON.stringify({ command: name, request: payload })}\n`);
    });
    socket.on('error', (error) => {
      if (!isConnected) fail(notReached(runtimeDir, error));
    });
    socket.on('data', (chunk: Buffer) => {
      chunks.push(chunk);
      bytes += chunk.length;
      if (bytes > MAX_ANSWER_BYTES) {
        fail(
          new BitlaneError('INTERNAL', `the answer of the daemon is larger than ${MAX_ANSWER_BYTES} bytes`),
        );
      } else if (chunk.includes(0x0a)) {
        const text = Buffer.concat(chunks).toString('utf8');
        finish(() => {
          try {
            resolve(parseAnswer(text));
          } catch (error) {
            reject(asBitlaneError(error));
          }
        });
      }
    });
    socket.on('close', () =>
      fail(new BitlaneError('TIMEOUT', `the daemon ended before it answered "${name}"`)),
    );
  });
