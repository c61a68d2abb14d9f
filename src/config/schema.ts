// The configuration: one zod schema, from which the types, the JSON Schema and the reference are made.
import { z } from 'zod';
import { artifactIdSchema } from '../registry/index.js';
import { LOG_LEVELS } from '../system/index.js';

const ms = (low: number, high: number) => z.int().min(low).max(high);
/** A share of the frame's width or height. */
const share = z.number().min(0).max(1);
const point = z
  .tuple([share, share])
  .describe('[x, y] as shares of width and height, 0..1 from the top left');
const slug = z
  .string()
  .regex(
    /^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/,
    'must be 1 to 64 letters, digits, "-" or "_", starting with a letter or digit',
  );
const polygon = z.array(point).min(3).max(64);
const filePath = z
  .string()
  .min(1)
  .max(4096)
  .refine((value) => !value.includes('\0'), 'must not contain a NUL character');

const uniqueNames = <T extends { name: string }>(items: readonly T[]): boolean =>
  new Set(items.map((item) => item.name)).size === items.length;

const evenSide = z.int().min(64).max(7680).multipleOf(2);
const fps = z.number().min(0.1).max(240);

const cameraCommon = {
  stallTimeoutMs: ms(200, 60_000)
    .default(5_000)
    .describe('no complete frame for this long: the source is restarted'),
  restartInitialMs: ms(10, 10_000)
    .default(500)
    .describe('first wait before a restart; doubles with every failure'),
  restartMaxMs: ms(10, 10_000).default(8_000).describe('longest wait before a restart'),
};

export const cameraSchema = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('libcamera').describe('a Raspberry Pi camera'),
    driver: z
      .enum(['auto', 'rpicam-vid', 'node-libcamera'])
      .default('auto')
      .describe(
        'how the camera is read: `rpicam-vid` directly, or through node-libcamera; `auto` takes the first that is there',
      ),
    camera: z
      .int()
      .min(0)
      .max(15)
      .default(0)
      .describe('index of the camera, as `rpicam-hello --list-cameras` shows it'),
    width: evenSide.default(1280),
    height: evenSide.default(720),
    fps: fps.default(30),
    rotation: z.union([z.literal(0), z.literal(180)]).default(0),
    hflip: z.boolean().default(false),
    vflip: z.boolean().default(false),
    ...cameraCommon,
  }),
  z.strictObject({
    kind: z.literal('ffmpeg').describe('RTSP, V4L2 or a video file, read by ffmpeg'),
    input: z
      .string()
      .min(1)
      .max(2048)
      .regex(/^[^\0\r\n]*$/, 'must be one line')
      .refine((value) => !value.startsWith('-'), 'must not start with "-"')
      .describe('rtsp://..., http(s)://..., /dev/videoN, or a file'),
    passwordFile: filePath
      .optional()
      .describe('file whose first line is the password of the user named in an rtsp address'),
    rtspTransport: z.enum(['tcp', 'udp']).default('tcp'),
    width: evenSide.default(1280).describe('frames are scaled to this width'),
    height: evenSide.default(720).describe('frames are scaled to this height'),
    fps: fps.optional().describe('frames a second to take; all when left out'),
    loop: z.boolean().default(false).describe('start a file again at its end'),
    pace: z
      .enum(['realtime', 'fast'])
      .default('realtime')
      .describe('files only: at their own pace, or as fast as possible'),
    ...cameraCommon,
  }),
  z.strictObject({
    kind: z.literal('replay').describe('pictures from a folder, or one MJPEG file'),
    path: filePath.describe('a folder of .jpg files, taken in name order, or an .mjpeg/.mjpg file'),
    fps: fps.default(30),
    pace: z.enum(['realtime', 'fast']).default('realtime'),
    loop: z.boolean().default(true),
    ...cameraCommon,
  }),
]);
export type CameraConfig = z.infer<typeof cameraSchema>;
export type CameraConfigOf<K extends CameraConfig['kind']> = Extract<CameraConfig, { kind: K }>;

export const detectorSchema = z.strictObject({
  threads: z.int().min(1).max(64).default(1).describe('intra-op threads of onnxruntime'),
  spinning: z.boolean().default(true).describe('let waiting threads spin: lower p95, more CPU'),
  scoreThreshold: z
    .number()
    .min(0.001)
    .max(1)
    .default(0.1)
    .describe('detections below are dropped; tracking uses low scores too'),
  iouThreshold: z
    .number()
    .min(0.05)
    .max(0.95)
    .default(0.65)
    .describe('boxes of one class that overlap more are merged (NMS)'),
  maxDetections: z.int().min(1).max(1000).default(100),
  classes: z
    .array(z.string().min(1).max(64))
    .max(1000)
    .optional()
    .describe('class names to keep; when left out, the vehicle classes of the model'),
  startTimeoutMs: ms(1_000, 600_000).default(60_000).describe('a detector process must be warm by then'),
  frameTimeoutMs: ms(100, 600_000)
    .default(10_000)
    .describe('a frame must be done by then, or the process is killed'),
  restartInitialMs: ms(10, 60_000).default(500),
  restartMaxMs: ms(10, 300_000).default(10_000),
});

export const swapSchema = z.strictObject({
  canaryFrames: z
    .int()
    .min(1)
    .max(100_000)
    .default(30)
    .describe('live frames that a new model sees beside the old one before it takes over'),
  canaryTimeoutMs: ms(1_000, 3_600_000).default(120_000),
  maxLatencyRatio: z
    .number()
    .min(1)
    .max(100)
    .default(3)
    .describe(
      'a candidate whose median frame time on canary frames is more than this times the old one is refused',
    ),
  minAgreement: z
    .number()
    .min(0)
    .max(1)
    .default(0)
    .describe(
      "share of the old model's confident detections that the candidate must find too; 0 = not checked",
    ),
});

export const trackingSchema = z.strictObject({
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
    .describe('detections from this score on may prolong a track'),
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
  historyLength: z.int().min(1).max(10_000).default(600).describe('frames of class history kept for a track'),
});
export type TrackingConfig = z.infer<typeof trackingSchema>;

export const lineSchema = z
  .strictObject({
    name: slug,
    from: point,
    to: point,
    forward: z
      .string()
      .min(1)
      .max(64)
      .default('forward')
      .describe('name of the direction that crosses from left to right, seen from `from` towards `to`'),
    backward: z.string().min(1).max(64).default('backward'),
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

export const mqttSchema = z
  .strictObject({
    url: z
      .string()
      .max(2048)
      .regex(/^(mqtt|mqtts|ws|wss):\/\/[^\s]+$/, 'must be mqtt://, mqtts://, ws:// or wss:// and a host')
      .optional()
      .describe('the broker; nothing leaves the device when left out'),
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
    reconnectInitialMs: ms(10, 60_000).default(1_000),
    reconnectMaxMs: ms(10, 600_000).default(30_000),
  })
  .refine((mqtt) => !/^[a-z]+:\/\/[^/?#]*@/.test(mqtt.url ?? ''), {
    path: ['url'],
    message: 'must not hold a user or password: use username and passwordFile',
  })
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

/** What `config/desired` may change unless the local file says otherwise: nothing that names a file, a host or a topic. */
export const REMOTE_ALLOWED = [
  'site',
  'logLevel',
  'camera.width',
  'camera.height',
  'camera.fps',
  'camera.rotation',
  'camera.hflip',
  'camera.vflip',
  'camera.stallTimeoutMs',
  'camera.restartInitialMs',
  'camera.restartMaxMs',
  'detector',
  'swap',
  'tracking',
  'lines',
  'zones',
  'counting',
  'telemetry.frames',
  'telemetry.framesEveryMs',
  'telemetry.framesExpirySeconds',
  'telemetry.tracks',
  'telemetry.trackPath',
  'telemetry.healthEverySeconds',
] as const;

export const remoteSchema = z.strictObject({
  allow: z
    .array(
      z
        .string()
        .max(128)
        .regex(
          /^(?!(?:stateDir|runtimeDir|device|remote)(?:\.|$))[A-Za-z]+(\.[A-Za-z]+)*$/,
          'must be a key of this file other than stateDir, runtimeDir, device and remote',
        ),
    )
    .max(100)
    .default([...REMOTE_ALLOWED])
    .describe(
      'keys (with everything below them) that `config/desired` may change; the list replaces the default one. The default leaves out ' +
        'what names a file, a host or a topic (`camera.input`, `camera.path`, all of `mqtt`) and what decides which pictures leave ' +
        'the device (`masks`, `telemetry.snapshots`)',
    ),
});

export const telemetrySchema = z.strictObject({
  frames: z.boolean().default(false).describe('publish the detections of frames on `telemetry`'),
  framesEveryMs: ms(0, 3_600_000).default(1_000).describe('at most one `telemetry` message in this time'),
  framesExpirySeconds: z.int().min(1).max(86_400).default(60),
  tracks: z.boolean().default(true).describe('publish finished tracks on `event/track`'),
  trackPath: z.boolean().default(false).describe('with the path of the track'),
  healthEverySeconds: z.int().min(1).max(3600).default(30),
  snapshots: z.boolean().default(false).describe('allow `cmd/snapshot` to send a (masked) picture'),
  outboxMaxRows: z.int().min(100).max(10_000_000).default(100_000),
  outboxMaxBytes: z.int().min(65_536).max(10_737_418_240).default(67_108_864),
});
export type TelemetryConfig = z.infer<typeof telemetrySchema>;

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
  mqtt: mqttSchema.prefault({}),
  telemetry: telemetrySchema.prefault({}),
  remote: remoteSchema.prefault({}),
});
export type Config = z.infer<typeof configSchema>;
