import { join } from 'node:path';
import fc from 'fast-check';
import t from 'tap';
import { BitlaneError } from '../../src/errors.js';
import { FAILED_START_LIMIT, Registry, UNFINISHED_START_LIMIT } from '../../src/registry/index.js';
import { makeArtifact } from '../helpers/artifacts.js';

const made = [0, 1, 2, 3].map((seed) => makeArtifact(seed, 200));
const idOf = (which: number): string => made[which]?.id ?? '';

type Step =
  | { do: 'install'; which: number }
  | { do: 'activate' | 'remove' | 'markFactory'; which: number }
  /** Of the active artifact, or of whichever is named. */
  | { do: 'begun' | 'failed' | 'ok'; which: number | undefined }
  | { do: 'rollback' | 'restart' | 'boot' };

const which = fc.nat(made.length - 1);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant('install' as const), which }) },
  {
    weight: 7,
    arbitrary: fc.record({
      do: fc.constantFrom(
        'activate' as const,
        'activate' as const,
        'remove' as const,
        'markFactory' as const,
      ),
      which,
    }),
  },
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constantFrom('begun' as const, 'failed' as const, 'failed' as const, 'ok' as const),
      which: fc.option(which, { nil: undefined, freq: 1 }),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({ do: fc.constantFrom('rollback' as const, 'restart' as const, 'boot' as const) }),
  },
);

/** An artifact that does not start is come by too seldom by chance. */
const misfit: fc.Arbitrary<Step[]> = which.map((index) => [
  { do: 'install', which: index },
  { do: 'activate', which: index },
  { do: 'failed', which: undefined },
  { do: 'failed', which: undefined },
  { do: 'restart' },
  { do: 'boot' },
]);
const sequence = fc
  .array(fc.oneof({ weight: 9, arbitrary: step.map((one) => [one]) }, { weight: 1, arbitrary: misfit }), {
    minLength: 5,
    maxLength: 25,
    size: 'max',
  })
  .map((parts) => parts.flat());

/** What the registry promises, without files. Every method throws the code that the registry must reject with. */
class Reference {
  readonly installed = new Set<string>();
  active: string | null = null;
  previous: string | null = null;
  factory: string | null = null;
  failed = 0;
  unfinished = 0;

  #become(active: string, previous: string | null): void {
    Object.assign(this, { active, previous, failed: 0, unfinished: 0 });
  }

  #demand(id: string): void {
    if (!this.installed.has(id)) throw new BitlaneError('NO_SUCH_MODEL', id);
  }

  install(id: string): void {
    this.installed.add(id);
    if (this.active !== null) return;
    this.#become(id, null);
    this.factory = id;
  }

  activate(id: string): void {
    this.#demand(id);
    if (this.active !== id) this.#become(id, this.active);
  }

  rollback(): void {
    const back = [this.previous, this.factory].find((id) => id !== null && id !== this.active);
    if (back === undefined || back === null) throw new BitlaneError('NO_SUCH_MODEL', 'no way back');
    this.#become(back, null);
  }

  boot(): void {
    if (this.failed < FAILED_START_LIMIT && this.unfinished < UNFINISHED_START_LIMIT) return;
    try {
      this.rollback();
    } catch {
      // There is no way back: the same one is tried again.
    }
  }

  markFactory(id: string): void {
    this.#demand(id);
    this.factory = id;
  }

  remove(id: string): void {
    this.#demand(id);
    if ([this.active, this.previous, this.factory].includes(id)) throw new BitlaneError('BUSY', id);
    this.installed.delete(id);
  }

  record(id: string, outcome: 'begun' | 'failed' | 'ok'): void {
    if (id !== this.active) return;
    this.unfinished = outcome === 'begun' ? this.unfinished + 1 : 0;
    if (outcome !== 'begun') this.failed = outcome === 'failed' ? this.failed + 1 : 0;
  }
}

const codeOf = async (work: () => unknown): Promise<string | undefined> => {
  try {
    await work();
    return undefined;
  } catch (error) {
    if (error instanceof BitlaneError) return error.code;
    throw error;
  }
};

t.test(
  'any sequence of operations does what the reference does, and leaves exactly one active',
  async (t) => {
    let runs = 0;
    const seen = { refused: 0, wentBack: 0 };
    const root = t.testdir({});
    await fc.assert(
      fc.asyncProperty(sequence, async (steps) => {
        const stateDir = join(root, String((runs += 1)));
        const reference = new Reference();
        let registry = new Registry({ stateDir });
        await registry.start();
        const apply = async (next: Step): Promise<[unknown, unknown]> => {
          switch (next.do) {
            case 'install': {
              const { bytes, manifest, id } = made[next.which] ?? makeArtifact(0, 200);
              return [
                await codeOf(() => reference.install(id)),
                await codeOf(() => registry.install(bytes, manifest)),
              ];
            }
            case 'activate':
            case 'remove':
            case 'markFactory': {
              const id = idOf(next.which);
              return [await codeOf(() => reference[next.do](id)), await codeOf(() => registry[next.do](id))];
            }
            case 'begun':
            case 'failed':
            case 'ok': {
              const id = next.which === undefined ? (reference.active ?? '') : idOf(next.which);
              reference.record(id, next.do);
              return [undefined, await codeOf(() => registry.recordStart(id, next.do))];
            }
            case 'rollback':
              return [await codeOf(() => reference.rollback()), await codeOf(() => registry.rollback())];
            case 'restart':
              registry.stop();
              registry = new Registry({ stateDir });
              return [[], await registry.start()];
            case 'boot': {
              const before = reference.active;
              reference.boot();
              const { active, rolledBackFrom } = await registry.atBoot();
              const wentBack = before !== reference.active;
              if (wentBack) seen.wentBack += 1;
              return [
                [reference.active ?? undefined, wentBack ? before : undefined],
                [active?.id, rolledBackFrom],
              ];
            }
          }
        };
        try {
          for (const next of steps) {
            const [wanted, got] = await apply(next);
            if (wanted === 'BUSY' || wanted === 'NO_SUCH_MODEL') seen.refused += 1;
            const entries = await registry.list();
            const state = (r: Reference | Registry) => [r.active, r.previous, r.factory];
            if (
              JSON.stringify([wanted, state(reference)]) !== JSON.stringify([got, state(registry)]) ||
              JSON.stringify([...reference.installed].sort()) !==
                JSON.stringify(entries.map(({ id }) => id).sort()) ||
              entries.filter(({ active }) => active).length !== Math.min(1, entries.length)
            ) {
              throw new Error(
                `after ${next.do}: ${String(wanted)} ${state(reference).join()} but ${String(got)} ${state(registry).join()}`,
              );
            }
          }
        } finally {
          registry.stop();
        }
      }),
      { numRuns: 40 },
    );
    t.ok(runs >= 40 && seen.refused > 0 && seen.wentBack > 0, JSON.stringify({ runs, ...seen }));
  },
);
