// Detections of single frames: off unless asked for, rate limited, never waited for.
import type { z } from 'zod';
import type { TelemetryConfig } from '../config/index.js';
import type { Link } from './link.js';
import { type FrameBody, frameBody, MESSAGE_SCHEMA } from './topics/index.js';

/** A frame is dropped while the socket holds more than this. */
const MAX_BACKLOG_BYTES = 65_536;

export interface FramesOptions {
  readonly topic: string;
  readonly bootId: string;
  /** A frame broke its schema. */
  readonly invalid: (error: z.ZodError) => void;
}

export class Frames {
  readonly counters = { framesSent: 0, framesDropped: 0 };
  readonly #options: FramesOptions;
  #lastAt = Number.NEGATIVE_INFINITY;

  constructor(options: FramesOptions) {
    this.#options = options;
  }

  /** @returns whether it was handed to the socket */
  send(link: Link | undefined, body: FrameBody, settings: TelemetryConfig): boolean {
    if (!settings.frames) return false;
    const now = performance.now();
    const isDue = now - this.#lastAt >= settings.framesEveryMs;
    if (link === undefined || !isDue || link.backlogBytes > MAX_BACKLOG_BYTES) {
      this.counters.framesDropped += 1;
      return false;
    }
    const parsed = frameBody.safeParse(body);
    if (!parsed.success) {
      this.#options.invalid(parsed.error);
      return false;
    }
    const { topic, bootId } = this.#options;
    const payload = JSON.stringify({
      schema: MESSAGE_SCHEMA,
      ts: new Date().toISOString(),
      boot_id: bootId,
      ...parsed.data,
    });
    const isSent = link.publishNow({ topic, payload, expirySeconds: settings.framesExpirySeconds });
    if (isSent) this.#lastAt = now;
    this.counters[isSent ? 'framesSent' : 'framesDropped'] += 1;
    return isSent;
  }
}
