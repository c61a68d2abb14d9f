// The sections about what leaves the device: `mqtt` and `telemetry`.
import { z } from 'zod';
import { filePath, ms, ordered } from './values.js';

export const mqttSchema = z
  .strictObject({
    url: z
      .string()
      .max(2048)
      .regex(/^(mqtt|mqtts|ws|wss):\/\/[^\s]+$/, 'must be mqtt://, mqtts://, ws:// or wss:// and a host')
      .refine(
        (value) =>
          !/^(mqtt|ws)s?:/.test(value) ||
          (URL.canParse(value) && new URL(value).hostname !== '' && new URL(value).port !== '0'),
        'must name a host, and where it names a port one from 1 to 65535',
      )
      .optional()
      .describe('the broker; nothing leaves the device when left out'),
    embeddedPort: z
      .int()
      .min(1024)
      .max(65_535)
      .optional()
      .describe(
        'run a broker of our own (MQTT 3.1.1, no password) on this port of 127.0.0.1, for programs on this device; in place of `url`',
      ),
    root: z
      .string()
      .regex(/^[^#+\0/]{1,64}(\/[^#+\0/]{1,64}){0,3}$/, 'must be a topic without wildcards')
      .default('bitlane'),
    clientId: z.string().min(1).max(128).optional().describe('`bitlane-<device>` when left out'),
    protocolVersion: z
      .union([z.literal(4), z.literal(5)])
      .default(5)
      .describe('5, or 4 for brokers that speak 3.1.1 only'),
    username: z.string().min(1).max(256).optional(),
    passwordFile: filePath
      .optional()
      .describe('file whose first line is the password (systemd LoadCredential)'),
    caFile: filePath.optional(),
    certFile: filePath.optional().describe('client certificate (PEM)'),
    keyFile: filePath.optional().describe('key of the client certificate (PEM)'),
    keepaliveSeconds: z.int().min(5).max(3600).default(30),
    connectTimeoutMs: ms(500, 120_000).default(10_000),
    reconnectInitialMs: ms(10, 60_000).default(1_000).describe('not above reconnectMaxMs'),
    reconnectMaxMs: ms(10, 600_000).default(30_000),
  })
  .refine(...ordered('reconnectInitialMs', 'reconnectMaxMs'))
  .refine((mqtt) => !/^[a-z]+:\/\/[^/?#]*@/.test(mqtt.url ?? ''), {
    path: ['url'],
    message: 'must not hold a user or password: use username and passwordFile',
  })
  .refine(
    (mqtt) =>
      mqtt.embeddedPort === undefined ||
      [mqtt.url, mqtt.username, mqtt.caFile, mqtt.certFile].every((value) => value === undefined),
    {
      path: ['embeddedPort'],
      message:
        'must not be given together with url, username, caFile or certFile: the embedded broker needs none',
    },
  )
  .refine((mqtt) => (mqtt.certFile === undefined) === (mqtt.keyFile === undefined), {
    path: ['certFile'],
    message: 'must be given together with keyFile',
  })
  .refine((mqtt) => mqtt.passwordFile === undefined || mqtt.username !== undefined, {
    path: ['passwordFile'],
    message: 'must be given together with username',
  })
  .refine(
    (mqtt) =>
      mqtt.url === undefined ||
      /^(mqtts|wss):/.test(mqtt.url) ||
      (mqtt.caFile === undefined && mqtt.certFile === undefined),
    { path: ['url'], message: 'must be mqtts:// or wss:// when caFile or certFile is given' },
  );
export type MqttConfig = z.infer<typeof mqttSchema>;

export const telemetrySchema = z.strictObject({
  frames: z.boolean().default(false).describe('publish the detections of frames on `telemetry`'),
  framesEveryMs: ms(0, 3_600_000).default(1_000).describe('at most one `telemetry` message in this time'),
  framesExpirySeconds: z.int().min(1).max(86_400).default(60),
  tracks: z.boolean().default(true).describe('publish finished tracks on `event/track`'),
  trackPath: z.boolean().default(false).describe('with the path of the track'),
  healthEverySeconds: z.int().min(1).max(3600).default(30),
  snapshots: z.boolean().default(false).describe('allow `cmd/snapshot` to send a (masked) picture'),
  outboxMaxRows: z.int().min(100).max(10_000_000).default(100_000),
  outboxMaxBytes: z.int().min(1_048_576).max(10_737_418_240).default(67_108_864),
});
export type TelemetryConfig = z.infer<typeof telemetrySchema>;
