// Every error of the product: a code and the rule for its sentence.

/** What a machine may match on; the message is for people. */
export type ErrorCode =
  /** A configuration, change set or command payload that breaks the schema. */
  | 'BAD_CONFIG'
  /** A command line that cannot be understood. */
  | 'BAD_USAGE'
  /** A command (MQTT or control socket) that is unknown or malformed. */
  | 'BAD_COMMAND'
  /** A frame that is short, torn, of another size or not what it says it is. */
  | 'BAD_FRAME'
  /** A data set that is missing, malformed or inconsistent. */
  | 'BAD_DATASET'
  /** A model file or manifest that is truncated, altered or cannot be served. */
  | 'BAD_MODEL'
  /** An artifact that is not installed. */
  | 'NO_SUCH_MODEL'
  /** A camera that cannot be opened or stopped delivering. */
  | 'CAMERA_FAILED'
  /** A detector process that did not start, answer or stop in time. */
  | 'DETECTOR_FAILED'
  /** A swap that was refused or rolled back. */
  | 'SWAP_FAILED'
  /** The store could not be opened, migrated or written. */
  | 'STORE_FAILED'
  /** Something that must be fetched or contacted is away. */
  | 'UNREACHABLE'
  /** Another operation of the same kind is running. */
  | 'BUSY'
  /** An operation passed its deadline. */
  | 'TIMEOUT'
  /** Something this device lacks. */
  | 'UNSUPPORTED'
  /** A defect of bitlane itself. */
  | 'INTERNAL';

/** Codes that mean "the input was bad": the command line exits 2 for these and 1 for the others. */
const INPUT_CODES: ReadonlySet<ErrorCode> = new Set([
  'BAD_CONFIG',
  'BAD_USAGE',
  'BAD_COMMAND',
  'BAD_FRAME',
  'BAD_DATASET',
  'BAD_MODEL',
  'NO_SUCH_MODEL',
]);

/** An expected failure: one plain sentence that names the thing and the rule. */
export class BitlaneError extends Error {
  readonly code: ErrorCode;

  /**
   * @param code what a machine may match on
   * @param message one plain sentence: the thing, the rule, and what to do next where that is known
   */
  constructor(code: ErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'BitlaneError';
    this.code = code;
  }

  /** True when the caller's input was bad (exit code 2). */
  get isInputError(): boolean {
    return INPUT_CODES.has(this.code);
  }
}

/** The message of anything thrown. */
export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** Any thrown value as a {@link BitlaneError}; unknown ones become `INTERNAL`. */
export const asBitlaneError = (error: unknown): BitlaneError =>
  error instanceof BitlaneError ? error : new BitlaneError('INTERNAL', messageOf(error), { cause: error });
