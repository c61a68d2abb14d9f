// A payload of `config/desired`: bounded, parsed, checked.
import { describeProblems, isObject, isWithinDepth, type JsonObject } from '../config/index.js';
import { desiredMessage } from './topics/index.js';
import type { ChangeSet } from './twin-state.js';

const MAX_BYTES = 262_144;
const MAX_DEPTH = 32;

export type ParsedDesired =
  | { readonly ok: true; readonly set: ChangeSet }
  | {
      readonly ok: false;
      /** One plain sentence. */
      readonly error: string;
      /** Where it could be read. */
      readonly version?: number;
    };

/** Whatever arrives is either a change set or one sentence; nothing is thrown. */
export const parseDesired = (payload: Uint8Array): ParsedDesired => {
  const what = 'the desired configuration';
  if (payload.byteLength > MAX_BYTES) {
    return { ok: false, error: `${what} has ${payload.byteLength} bytes; at most ${MAX_BYTES} are taken` };
  }
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(payload));
  } catch {
    return { ok: false, error: `${what} is not JSON` };
  }
  const claimed = isObject(value) ? value['version'] : undefined;
  const version =
    typeof claimed === 'number' && Number.isSafeInteger(claimed) && claimed > 0 ? { version: claimed } : {};
  if (!isWithinDepth(value, MAX_DEPTH)) {
    return { ok: false, error: `${what} is nested more than ${MAX_DEPTH} levels deep`, ...version };
  }
  const parsed = desiredMessage.safeParse(value, { reportInput: true });
  if (!parsed.success) {
    const problems = describeProblems(parsed.error, what, () => ['version', 'changes']);
    return { ok: false, error: problems.join('; '), ...version };
  }
  // The value as it came: zod's copy lacks keys like "__proto__", which must be refused, not overlooked.
  const { changes } = value as { readonly changes: JsonObject };
  return { ok: true, set: { version: parsed.data.version, changes } };
};
