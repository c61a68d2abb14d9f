// What can be asked of the loop, over MQTT and the control socket.
import type { AdaptationRecord, AdaptationService } from '../adaptation/index.js';
import type { AdaptationEntry, CommandRegistry } from '../telemetry/index.js';

const entryOf = (record: AdaptationRecord): AdaptationEntry => ({
  adaptation: record.id,
  trigger: record.trigger,
  started_at: record.startedAt,
  ended_at: record.endedAt,
  outcome: record.outcome,
  reason: record.reason,
  candidate: record.candidate,
  pairs: record.pairs,
  budget: record.budget,
  bits: record.bits,
  model_bytes: record.modelBytes,
  latency_p95_ms: record.canary?.p95Ms ?? null,
  memory_mb: record.canary?.memoryMb ?? null,
  map50_change: record.worth?.map50?.change.value ?? null,
  map50_95_change: record.worth?.map5095?.change.value ?? null,
  critical_change: record.worth?.criticalAccuracy?.change.value ?? null,
  agreement_change: record.worth?.agreement?.change.value ?? null,
});

export const addAdaptCommands = (commands: CommandRegistry, loop: AdaptationService): void => {
  commands.handle('adapt/start', async ({ budget, pairs }) => {
    const { id, parent } = await loop.begin('command', {
      budget,
      ...(pairs !== undefined && { pairs }),
    });
    return { adaptation: id, parent };
  });
  commands.handle('adapt/cancel', async () => ({ cancelled: await loop.cancel() }));
  commands.handle('adapt/state', () => loop.state);
  commands.handle('adapt/history', ({ limit }) => ({ adaptations: loop.history(limit).map(entryOf) }));
};
