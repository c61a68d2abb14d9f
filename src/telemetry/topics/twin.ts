// Remote configuration: what is wanted, and what became of it.
import { z } from 'zod';
import { bootId, MESSAGE_SCHEMA, timestamp } from './common.js';

const version = z.int().min(1).max(Number.MAX_SAFE_INTEGER);

export const desiredMessage = z
  .strictObject({
    version: version.describe('rises with every change; an older one is refused'),
    changes: z
      .record(z.string(), z.json())
      .describe(
        'laid over the local configuration file as a JSON merge patch (RFC 7396): the whole set, each time. `{}` goes back to the file',
      ),
  })
  .meta({ title: 'config/desired', description: 'The configuration that is wanted.' });
export type DesiredConfig = z.infer<typeof desiredMessage>;

export const reportedMessage = z
  .strictObject({
    schema: z.literal(MESSAGE_SCHEMA),
    ts: timestamp,
    boot_id: bootId,
    version: z
      .int()
      .min(0)
      .describe(
        'the desired version that this report answers; 0 when none ever came, or when it cannot be read from what came',
      ),
    status: z
      .enum(['applied', 'rejected', 'pending'])
      .describe(
        'what became of the change set that came first with this version; `pending`: being applied, or waiting for a restart of the daemon',
      ),
    errors: z
      .array(z.string())
      .describe(
        'one plain sentence a problem; beside `applied` or `pending`: it could not be stored, or the same version came again with other changes, which are refused',
      ),
    restart_required: z.array(z.string()).describe('changed keys that take effect at the next start only'),
    active_version: z.int().min(0).describe('the version in force; 0 = the local file alone'),
    active_changes: z.record(z.string(), z.json()).describe('the change set in force'),
  })
  .meta({ title: 'config/reported', description: 'What became of `config/desired`, and what is in force.' });
export type ReportedConfig = z.infer<typeof reportedMessage>;
