// Asking the running daemon over its control socket.

/**
 * Sends one command to the daemon with this runtime folder and returns its result.
 *
 * @throws BitlaneError UNREACHABLE when no daemon runs there; otherwise the daemon's own refusal, code and sentence
 */
export const callDaemon = (
  runtimeDir: string,
  name: string,
  payload: Readonly<Record<string, unknown>> = {},
  options: { readonly timeoutMs?: number; readonly signal?: AbortSignal } = {},
): Promise<unknown> =>
  Promise.reject(
    new Error(`not there yet: ${runtimeDir} ${name} ${JSON.stringify([payload, options.timeoutMs])}`),
  );
