// One onnxruntime session: open, run, release. Everything here blocks the thread while it computes.
import type * as OrtModule from 'onnxruntime-node';
import type { InferenceSession, OnnxValue } from 'onnxruntime-node';
import { BitlaneError, messageOf } from '../errors.js';
import { isTensorType, type Tensor, type Tensors, type ValueInfo } from './tensor.js';

export interface SessionOptions {
  /** Intra-op threads (default 1). */
  readonly threads?: number;
  /** Whether waiting threads spin (default true): lower p95, about twice the CPU use. */
  readonly spinning?: boolean;
  /** Graph optimizations (default `all`). */
  readonly optimization?: 'disabled' | 'basic' | 'extended' | 'all';
  /** Optimizers to leave out, by onnxruntime's names. */
  readonly disabledOptimizers?: readonly string[];
  /** Whether freed memory is kept for the next run (default true). */
  readonly arena?: boolean;
  /** Whether memory is laid out ahead from the second run on (default true): it is then held beside what the first run took. */
  readonly memoryPattern?: boolean;
  /** Where the optimized graph is written, for inspection. */
  readonly optimizedModelPath?: string;
  /** How the name of the file begins that {@link Session.endProfiling} writes; nothing is profiled where it is left out. */
  readonly profilePrefix?: string;
  /** Further session configuration, by onnxruntime's full keys (`session.x64quantprecision`: `1`). */
  readonly configuration?: Readonly<Record<string, string>>;
}

type Ort = typeof OrtModule;

let loading: Promise<Ort> | undefined;

/** Loads the native library on first use: importing this room costs nothing and runs no native code. */
const loadOrt = (): Promise<Ort> => {
  // Its official builds report to their maker unless told not to before they are loaded, and keep a device id and a database for
  // that. Nothing leaves the device unless its owner asked for it.
  process.env['ORT_DISABLE_TELEMETRY'] = '1';
  loading ??= import('onnxruntime-node').then(
    (ort) => {
      ort.env.logLevel = 'fatal';
      return ort;
    },
    (error: unknown) => {
      loading = undefined;
      throw new BitlaneError('UNSUPPORTED', `onnxruntime does not load on this device: ${oneLine(error)}`, {
        cause: error,
      });
    },
  );
  return loading;
};

/** onnxruntime's version, for `info` and `doctor`. Loads the library. */
export const ortVersion = async (): Promise<string> => (await loadOrt()).env.versions.node ?? 'unknown';

const MESSAGE_LIMIT = 300;

/** What the commonest refusals mean. */
const KNOWN: readonly (readonly [RegExp, string])[] = [
  [/protobuf parsing failed/i, 'it is no ONNX file, or it is truncated or altered'],
  [/Model data pointer is null|File doesn't exist/, 'the file is missing or empty'],
  [
    /Opset (\d+) is under development/,
    'it uses ONNX opset $1, which is newer than onnxruntime supports here',
  ],
  [
    /external data|model_path must not be empty/i,
    'it keeps weights in another file; a model must be one file',
  ],
];

/** onnxruntime's messages run over several lines and name its own source files and functions. */
const oneLine = (error: unknown): string => {
  const raw = messageOf(error).replace(/\s+/g, ' ');
  for (const [pattern, meaning] of KNOWN) {
    const match = pattern.exec(raw);
    if (match !== null) return meaning.replace('$1', match[1] ?? '');
  }
  const text = raw
    .replace(/^Load model from .* failed: ?/, '')
    .replace(/^.*\bonnxruntime::.*?\) (?=[A-Z])/, '')
    .replace(/\S+\.(?:cc|h):\d+ \S+ /g, '')
    .trim()
    .replace(/[.\s]+$/, '');
  return text.length > MESSAGE_LIMIT ? `${text.slice(0, MESSAGE_LIMIT)}...` : text;
};

const infoOf = (metadata: readonly InferenceSession.ValueMetadata[]): readonly ValueInfo[] =>
  metadata.map((value) =>
    value.isTensor
      ? { name: value.name, type: value.type, shape: [...value.shape] }
      : { name: value.name, type: 'unknown', shape: [] },
  );

const tensorOf = (name: string, value: OnnxValue): Tensor => {
  if (!isTensorType(value.type)) {
    throw new BitlaneError('BAD_MODEL', `the model's output ${name} is ${value.type}, which cannot be read`);
  }
  return { type: value.type, dims: value.dims, data: value.data } as Tensor;
};

/** A loaded model. One owner; `release` it, on the error path too ({@link withSession} does). */
export class Session {
  readonly inputs: readonly ValueInfo[];
  readonly outputs: readonly ValueInfo[];
  readonly #ort: Ort;
  readonly #label: string;
  #session: InferenceSession | undefined;

  /** Use {@link openSession}. */
  constructor(ort: Ort, session: InferenceSession, label: string) {
    this.#ort = ort;
    this.#session = session;
    this.#label = label;
    this.inputs = infoOf(session.inputMetadata);
    this.outputs = infoOf(session.outputMetadata);
  }

  /**
   * Runs the model once; the thread is blocked until it is done. `feeds` are read in place; the result owns its memory.
   *
   * @param into tensors that outputs are written into, by their names; what is returned is a copy of them all the same, which the binding
   *   makes of every output: large and many outputs cost time
   * @throws BitlaneError `BAD_MODEL` when the model refuses the feeds or fails while it runs
   */
  async run(feeds: Tensors, into: Tensors = {}): Promise<Tensors> {
    const session = this.#session;
    if (session === undefined) {
      throw new BitlaneError('INTERNAL', `the session of ${this.#label} is released already`);
    }
    try {
      const valuesOf = (tensors: Tensors): Record<string, OnnxValue> =>
        Object.fromEntries(
          Object.entries(tensors).map(([name, { type, data, dims }]) => [
            name,
            new this.#ort.Tensor(type as 'float32', data as Float32Array, dims),
          ]),
        );
      const fetches: Record<string, OnnxValue | null> = valuesOf(into);
      for (const { name } of this.outputs) fetches[name] ??= null;
      const results = await session.run(valuesOf(feeds), fetches);
      return Object.fromEntries(
        Object.entries(results).map(([name, value]) => [name, tensorOf(name, value)]),
      );
    } catch (error) {
      if (error instanceof BitlaneError) throw error;
      throw new BitlaneError('BAD_MODEL', `${this.#label} failed while it ran: ${oneLine(error)}`, {
        cause: error,
      });
    }
  }

  /** Writes what was profiled since the session was opened, as `<profilePrefix>_<time>.json`. */
  endProfiling(): void {
    this.#session?.endProfiling();
  }

  /** Gives the memory back. Safe to call twice. */
  async release(): Promise<void> {
    const session = this.#session;
    this.#session = undefined;
    await session?.release();
  }
}

const ortOptions = (options: SessionOptions): InferenceSession.SessionOptions => ({
  executionProviders: ['cpu'],
  intraOpNumThreads: options.threads ?? 1,
  interOpNumThreads: 1,
  executionMode: 'sequential',
  graphOptimizationLevel: options.optimization ?? 'all',
  enableCpuMemArena: options.arena ?? true,
  enableMemPattern: options.memoryPattern ?? true,
  logSeverityLevel: 4,
  ...(options.optimizedModelPath === undefined ? {} : { optimizedModelFilePath: options.optimizedModelPath }),
  ...(options.profilePrefix === undefined
    ? {}
    : { enableProfiling: true, profileFilePrefix: options.profilePrefix }),
  extra: {
    'session.intra_op.allow_spinning': options.spinning === false ? '0' : '1',
    ...(options.disabledOptimizers === undefined || options.disabledOptimizers.length === 0
      ? {}
      : { 'optimization.disable_specified_optimizers': options.disabledOptimizers.join(';') }),
    ...options.configuration,
  },
});

/**
 * Loads a model from a file or from its bytes. Blocks the thread; `release` the result.
 *
 * @throws BitlaneError `BAD_MODEL` when onnxruntime cannot load it, `UNSUPPORTED` when onnxruntime itself does not load here
 */
export const openSession = async (
  model: string | Uint8Array,
  options: SessionOptions = {},
): Promise<Session> => {
  const label = typeof model === 'string' ? model : 'the model';
  const ort = await loadOrt();
  let session: InferenceSession | undefined;
  try {
    session = await (typeof model === 'string'
      ? ort.InferenceSession.create(model, ortOptions(options))
      : ort.InferenceSession.create(model, ortOptions(options)));
    return new Session(ort, session, label);
  } catch (error) {
    await session?.release();
    throw new BitlaneError('BAD_MODEL', `${label} cannot be loaded: ${oneLine(error)}`, { cause: error });
  }
};

/** Opens a model, hands it to `work`, and releases it however `work` ends. */
export const withSession = async <T>(
  model: string | Uint8Array,
  options: SessionOptions,
  work: (session: Session) => Promise<T> | T,
): Promise<T> => {
  const session = await openSession(model, options);
  try {
    return await work(session);
  } finally {
    await session.release();
  }
};
