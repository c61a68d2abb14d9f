// The installed models, as a person asks for them.
import { BitlaneError } from '../errors.js';
import type { Registry } from '../registry/index.js';
import type { CommandResult } from '../telemetry/index.js';

/** What `model/list` answers; artifacts whose manifest cannot be read are left out. */
export const listModels = async (registry: Registry): Promise<CommandResult<'model/list'>> => ({
  active: registry.active,
  previous: registry.previous,
  factory: registry.factory,
  models: (await registry.list()).flatMap(({ id, manifest }) =>
    manifest === undefined
      ? []
      : [
          {
            id,
            name: manifest.name,
            created_at: manifest.createdAt,
            model_bytes: manifest.modelBytes,
            head: manifest.detector.head.type,
            classes: [...manifest.detector.classes],
          },
        ],
  ),
});

/** The installed artifact that a person means by an id, the beginning of one (six digits or more), or a name. */
export const findModel = async (registry: Registry, wanted: string): Promise<string> => {
  const entries = await registry.list();
  const named = entries.filter(
    (entry) =>
      entry.id === wanted ||
      entry.manifest?.name === wanted ||
      (/^[0-9a-f]{6,64}$/i.test(wanted) && entry.id.startsWith(wanted.toLowerCase())),
  );
  const [first, second] = named;
  if (first !== undefined && second === undefined) return first.id;
  throw new BitlaneError(
    'NO_SUCH_MODEL',
    first === undefined
      ? `no installed model is called ${JSON.stringify(wanted)}: "bitlane models list" shows them (of an id at least six digits)`
      : `${JSON.stringify(wanted)} stands for ${named.length} models: give the id`,
  );
};
