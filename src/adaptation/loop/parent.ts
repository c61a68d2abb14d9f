// Which FP32 model an artifact descends from: what is adapted is always that one, never a rounded one.
import { BitlaneError } from '../../errors.js';
import type { Artifact, Registry } from '../../registry/index.js';

/** Longer chains are loops. */
const DEEPEST = 32;

const isFloat = ({ manifest }: Artifact): boolean =>
  Object.values(manifest.allocation?.components ?? {}).every(({ bits }) => bits === 32);

/**
 * The installed FP32 model that `artifact` was made from, itself where it is one.
 *
 * @throws BitlaneError `NO_SUCH_MODEL` where it is not installed
 */
export const floatParentOf = async (registry: Registry, artifact: Artifact): Promise<Artifact> => {
  let at = artifact;
  for (let depth = 0; depth < DEEPEST && !isFloat(at); depth++) {
    const { parentId } = at.manifest;
    if (parentId === null) break;
    at = await registry.get(parentId).catch((error: unknown) => {
      throw new BitlaneError(
        'NO_SUCH_MODEL',
        `the model that ${at.manifest.name} was made from (${parentId.slice(0, 12)}) is not installed: install it again, it is what is adapted`,
        { cause: error },
      );
    });
  }
  if (isFloat(at)) return at;
  throw new BitlaneError(
    'NO_SUCH_MODEL',
    `no installed FP32 model is known that ${artifact.manifest.name} was made from: an adaptation begins with that one`,
  );
};
