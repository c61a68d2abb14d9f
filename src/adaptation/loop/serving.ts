// What the loop needs of whoever serves models.
import type { Artifact } from '../../registry/index.js';

/** What a candidate must show on live frames beyond what every swap asks for. */
export interface Demands {
  readonly budget?: {
    /** p95 of a frame in the detector process. */
    readonly latencyMs?: number | undefined;
    /** Peak of the detector process, as the kernel accounts it. */
    readonly memoryMb?: number | undefined;
    readonly modelBytes?: number | undefined;
  };
  /** Share of what the serving model is sure of that the candidate must find, where that is more than every swap asks for. */
  readonly minAgreement?: number;
  /** Frames of the canary (default: as configured for every swap). */
  readonly canaryFrames?: number;
}

/** What was measured of a candidate in its detector process, under the real frames. */
export interface DeployFigures {
  readonly frames: number;
  readonly p50Ms: number;
  readonly p95Ms: number;
  /** Of the model that served, on the same frames. */
  readonly servingP95Ms: number;
  /** Share of what the serving model was sure of that the candidate found; `null` without such an object. */
  readonly agreement: number | null;
  /** Peak of its process; `null` where the system does not say. */
  readonly memoryMb: number | null;
  /** Peak of both processes together; `null` likewise. */
  readonly bothMb: number | null;
  readonly modelBytes: number;
}

export interface Deployed {
  readonly committed: boolean;
  /** One sentence, where it is not committed. */
  readonly reason?: string;
  /** Another swap is under way: try again. */
  readonly busy?: boolean;
  /** Whether it was the budget that it missed. */
  readonly missed?: boolean;
  /** `undefined` where it did not come to the end of its canary. */
  readonly figures?: DeployFigures;
}

export interface UseOptions {
  /** It served before: it has to run, and is not held against the model that it replaces. */
  readonly isTrusted?: boolean;
}

export interface Serving {
  readonly artifact: Artifact | undefined;
  /** Swaps an installed artifact in where it shows what is demanded; the model before goes on serving otherwise. */
  deploy(id: string, demands: Demands): Promise<Deployed>;
  /** Swaps another in, or makes it the one to start where nothing serves. */
  use(id: string, how?: UseOptions): Promise<void>;
}
