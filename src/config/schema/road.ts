// The sections about the road: `tracking`, `lines`, `zones`, `counting` and `masks`.
import { z } from 'zod';
import { polygon } from './polygon.js';
import { label, ms, ordered, point, slug } from './values.js';

export const trackingSchema = z
  .strictObject({
    highScore: z
      .number()
      .min(0)
      .max(1)
      .default(0.5)
      .describe('detections from this score on are matched first and may start a track'),
    lowScore: z
      .number()
      .min(0)
      .max(1)
      .default(0.1)
      .describe('detections from this score on may prolong a track; not above highScore'),
    matchIou: z
      .number()
      .min(0)
      .max(1)
      .default(0.2)
      .describe('smallest overlap of a track and a detection of the first stage'),
    matchIouLow: z
      .number()
      .min(0)
      .max(1)
      .default(0.5)
      .describe('smallest overlap in the second, low-score stage'),
    maxLostMs: ms(0, 60_000).default(1_000).describe('a track without a detection for this long is finished'),
    minHits: z
      .int()
      .min(1)
      .max(100)
      .default(3)
      .describe('frames until a track is confirmed, counted and published'),
    maxTracks: z.int().min(1).max(5000).default(500),
    historyLength: z
      .int()
      .min(1)
      .max(10_000)
      .default(600)
      .describe('frames of class history kept for a track'),
  })
  .refine(...ordered('lowScore', 'highScore'));
export type TrackingConfig = z.infer<typeof trackingSchema>;

export const lineSchema = z
  .strictObject({
    name: slug,
    from: point,
    to: point,
    forward: label
      .default('forward')
      .describe('name of the direction that crosses from left to right, seen from `from` towards `to`'),
    backward: label.default('backward'),
  })
  .refine((line) => Math.hypot(line.to[0] - line.from[0], line.to[1] - line.from[1]) >= 0.001, {
    path: ['to'],
    message: 'must be another point than from',
  })
  .refine((line) => line.forward !== line.backward, {
    path: ['backward'],
    message: 'must be another name than forward',
  });
export type LineConfig = z.infer<typeof lineSchema>;

export const zoneSchema = z.strictObject({ name: slug, polygon });
export type ZoneConfig = z.infer<typeof zoneSchema>;

export const countingSchema = z.strictObject({
  intervals: z
    .array(z.int().min(1).max(86_400))
    .min(1)
    .max(4)
    .default([60, 900])
    .refine((values) => new Set(values).size === values.length, 'must not name an interval twice')
    .describe('seconds; one `counts/<interval>` message each, aligned to the clock (UTC)'),
  emptyIntervals: z
    .boolean()
    .default(true)
    .describe('publish intervals without a vehicle too, so that silence means a fault'),
});
export type CountingConfig = z.infer<typeof countingSchema>;

export const maskSchema = z.strictObject({ name: slug, polygon });
