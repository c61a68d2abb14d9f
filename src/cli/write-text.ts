// Files that commands write for people and for each other.
import { BitlaneError, messageOf } from '../errors.js';
import { writeFileAtomic } from '../system/index.js';

/** @throws BitlaneError `STORE_FAILED` naming the file */
export const writeText = (path: string, text: string): void => {
  try {
    writeFileAtomic(path, text);
  } catch (error) {
    throw new BitlaneError('STORE_FAILED', `${path} cannot be written: ${messageOf(error)}`, {
      cause: error,
    });
  }
};
