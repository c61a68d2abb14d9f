// The configuration: one zod schema, from which the types, the JSON Schema and the reference are made.
import { z } from 'zod';
import { artifactIdSchema } from '../registry/index.js';
import { LOG_LEVELS } from '../system/index.js';
import { adaptationSchema } from './schema/adaptation.js';
import { cameraSchema } from './schema/camera.js';
import { detectorSchema, swapSchema } from './schema/detection.js';
import { confusionsSchema, examplesSchema } from './schema/examples.js';
import { mqttSchema, telemetrySchema } from './schema/mqtt.js';
import { remoteSchema } from './schema/remote.js';
import { countingSchema, lineSchema, maskSchema, trackingSchema, zoneSchema } from './schema/road.js';
import { filePath, slug, uniqueNames } from './schema/values.js';

export { type AdaptationConfig, adaptationSchema } from './schema/adaptation.js';
export { type CameraConfig, type CameraConfigOf, cameraSchema } from './schema/camera.js';
export { detectorSchema, swapSchema } from './schema/detection.js';
export {
  type ConfusionsConfig,
  confusionsSchema,
  type ExamplesConfig,
  examplesSchema,
  REASONS,
  SOURCES,
} from './schema/examples.js';
export { type MqttConfig, mqttSchema, type TelemetryConfig, telemetrySchema } from './schema/mqtt.js';
export { REMOTE_ALLOWED, remoteSchema } from './schema/remote.js';
export {
  type CountingConfig,
  countingSchema,
  type LineConfig,
  lineSchema,
  maskSchema,
  type TrackingConfig,
  trackingSchema,
  type ZoneConfig,
  zoneSchema,
} from './schema/road.js';

export {
  type Light,
  LIGHTS,
  type SceneOptions,
  sceneSchema,
  type TrafficMix,
  VEHICLE_TYPES,
  type VehicleType,
  type Weather,
  WEATHERS,
} from './schema/scene.js';

export const configSchema = z.strictObject({
  device: slug.default('camera').describe('name of this device: part of every topic'),
  site: z.string().max(256).optional().describe('where the camera stands, for people'),
  stateDir: filePath.default('/var/lib/bitlane').describe('models, store and remote configuration'),
  runtimeDir: filePath.default('/run/bitlane').describe('control socket'),
  logLevel: z.enum(LOG_LEVELS).default('info'),
  model: artifactIdSchema
    .optional()
    .describe('artifact to serve from the first boot on, when none is active yet; `models use` changes it'),
  camera: cameraSchema,
  detector: detectorSchema.prefault({}),
  swap: swapSchema.prefault({}),
  tracking: trackingSchema.prefault({}),
  lines: z.array(lineSchema).max(32).default([]).refine(uniqueNames, 'must not use a name twice'),
  zones: z.array(zoneSchema).max(32).default([]).refine(uniqueNames, 'must not use a name twice'),
  counting: countingSchema.prefault({}),
  masks: z
    .array(maskSchema)
    .max(32)
    .default([])
    .refine(uniqueNames, 'must not use a name twice')
    .describe('privacy: blacked out in every picture that is stored or sent'),
  examples: examplesSchema.prefault({}),
  confusions: confusionsSchema.prefault({}),
  adaptation: adaptationSchema.prefault({}),
  mqtt: mqttSchema.prefault({}),
  telemetry: telemetrySchema.prefault({}),
  remote: remoteSchema.prefault({}),
});
export type Config = z.infer<typeof configSchema>;
