// The folder of artifacts, as a reader sees it: one folder an artifact, named by its id.
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { BitlaneError } from '../errors.js';
import { type Artifact, MANIFEST_FILE, MODEL_FILE, readArtifactFolder, readManifest } from './artifact.js';
import { artifactIdSchema } from './manifest.js';

const MIN_PREFIX = 6;

/** How an id is shown to people. */
export const shortId = (id: string): string => id.slice(0, 12);

/** Reads `<stateDir>/models`; changes nothing. */
export class ArtifactFolder {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  /** Ids of the artifacts; none where the folder is missing. */
  async ids(): Promise<readonly string[]> {
    try {
      const entries = await readdir(this.path, { withFileTypes: true });
      return entries
        .filter((entry) => entry.isDirectory() && artifactIdSchema.safeParse(entry.name).success)
        .map((entry) => entry.name);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
      throw error;
    }
  }

  /** Ids, oldest installation first. */
  async idsByAge(): Promise<readonly string[]> {
    const aged = await Promise.all(
      (await this.ids()).map(async (id) => {
        try {
          return [{ id, at: (await stat(join(this.path, id))).mtimeMs }];
        } catch (error) {
          // A reader holds no lock: what it listed may be removed by now.
          if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
          throw error;
        }
      }),
    );
    return aged
      .flat()
      .sort((a, b) => a.at - b.at || a.id.localeCompare(b.id))
      .map(({ id }) => id);
  }

  /**
   * An artifact; its model is not hashed.
   *
   * @throws BitlaneError `NO_SUCH_MODEL`, or `BAD_MODEL` when its manifest cannot be read
   */
  async get(id: string): Promise<Artifact> {
    await this.#demand(id);
    const manifestPath = join(this.path, id, MANIFEST_FILE);
    const manifest = await readManifest(manifestPath);
    if (manifest.id !== id)
      throw new BitlaneError('BAD_MODEL', `${manifestPath} belongs to another artifact`);
    return { id, modelPath: join(this.path, id, MODEL_FILE), manifestPath, manifest };
  }

  /**
   * An artifact, every byte checked.
   *
   * @throws BitlaneError `NO_SUCH_MODEL`, or `BAD_MODEL` naming the file and the rule it breaks
   */
  async verify(id: string): Promise<Artifact> {
    await this.#demand(id);
    return readArtifactFolder(join(this.path, id));
  }

  /**
   * The id that a prefix of at least six digits stands for.
   *
   * @throws BitlaneError `NO_SUCH_MODEL` when it stands for none or for several
   */
  async find(prefix: string): Promise<string> {
    const matches = (await this.ids()).filter((id) => id.startsWith(prefix.toLowerCase()));
    const [first, second] = matches;
    if (first === undefined || prefix.length < MIN_PREFIX) {
      throw new BitlaneError('NO_SUCH_MODEL', `no artifact ${prefix} is installed in ${this.path}`);
    }
    if (second !== undefined) {
      throw new BitlaneError(
        'NO_SUCH_MODEL',
        `${prefix} stands for ${matches.length} artifacts: give more digits`,
      );
    }
    return first;
  }

  async #demand(id: string): Promise<void> {
    if (!(await this.ids()).includes(id)) {
      throw new BitlaneError('NO_SUCH_MODEL', `artifact ${shortId(id)} is not installed in ${this.path}`);
    }
  }
}
