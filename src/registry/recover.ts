// Brings pointers and folders together again after whatever happened to either.
import { messageOf } from '../errors.js';
import { type ArtifactFolder, shortId } from './folder.js';
import { EMPTY_STATE, type RegistryState } from './state.js';

export interface Recovered {
  readonly state: RegistryState;
  /** What was found wrong and what was done about it. */
  readonly notices: readonly string[];
}

/**
 * The state that holds from now on: pointers to what is there, and one active artifact that `check` accepts, if there is any.
 * Where the recorded active one is gone or broken, the previous, the factory and then the newest installed one are tried.
 *
 * @param recorded what the state files say; `undefined` when no copy can be read
 * @param check rejects, with the reason, when an artifact is not whole
 */
export const recoverState = async (
  folder: ArtifactFolder,
  recorded: RegistryState | undefined,
  check: (id: string) => Promise<unknown>,
): Promise<Recovered> => {
  const notices: string[] = [];
  const byAge = await folder.idsByAge();
  let state = recorded ?? EMPTY_STATE;
  if (recorded === undefined && byAge.length > 0) {
    notices.push(`which artifact was active is not on record any more in ${folder.path}`);
  }
  for (const role of ['active', 'previous', 'factory'] as const) {
    const id = state[role];
    if (id === null || byAge.includes(id)) continue;
    notices.push(`the ${role} artifact ${shortId(id)} is gone from ${folder.path}`);
    state = { ...state, [role]: null };
  }
  const isWhole = async (id: string): Promise<boolean> => {
    try {
      await check(id);
      return true;
    } catch (error) {
      notices.push(messageOf(error));
      return false;
    }
  };
  const { active, previous, factory } = state;
  if (active === null || !(await isWhole(active))) {
    const candidates = new Set([previous, factory, ...byAge.toReversed()]);
    let found: string | null = null;
    for (const id of candidates) {
      if (id === null || id === active || !(await isWhole(id))) continue;
      found = id;
      break;
    }
    state = { ...EMPTY_STATE, active: found, previous: previous === found ? null : previous, factory };
    if (found !== null) notices.push(`artifact ${shortId(found)} is active now`);
    else if (byAge.length > 0) notices.push(`no artifact in ${folder.path} is whole: install one`);
  }
  if (state.active !== null && state.factory === null) {
    state = { ...state, factory: byAge[0] ?? state.active };
  }
  return { state, notices };
};
