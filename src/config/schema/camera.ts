// The section `camera`: where frames come from.
import { z } from 'zod';
import { sceneShape } from './scene.js';
import { filePath, ms, ordered } from './values.js';

const evenSide = z.int().min(64).max(7680).multipleOf(2);
const fps = z.number().min(0.1).max(240);

const cameraCommon = {
  stallTimeoutMs: ms(200, 60_000)
    .default(5_000)
    .describe('no complete frame for this long: the source is restarted'),
  restartInitialMs: ms(10, 10_000)
    .default(500)
    .describe('first wait before a restart; doubles with every failure; not above restartMaxMs'),
  restartMaxMs: ms(10, 10_000).default(8_000).describe('longest wait before a restart'),
};

/** Of every kind. */
const waits = ordered('restartInitialMs', 'restartMaxMs');

/** An address, as opposed to a file or a device. */
const isAddress = (input: string): boolean => /^[A-Za-z][A-Za-z0-9+.-]*:\/\//.test(input);
const isFile = (input: string): boolean => !isAddress(input) && !input.startsWith('/dev/video');

export const cameraSchema = z.discriminatedUnion('kind', [
  z
    .strictObject({
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
    })
    .refine(...waits),
  z
    .strictObject({
      kind: z.literal('ffmpeg').describe('RTSP, V4L2 or a video file, read by ffmpeg'),
      input: z
        .string()
        .min(1)
        .max(2048)
        .regex(/^[^\0\r\n]*$/, 'must be one line')
        .refine((value) => !value.startsWith('-'), 'must not start with "-"')
        .refine(
          (value) => !isAddress(value) || /^(rtsps?|https?):/i.test(value),
          'must be rtsp://, rtsps://, http:// or https://, a video device or a file',
        )
        .refine((value) => !isAddress(value) || URL.canParse(value), 'must be a valid address')
        .describe('rtsp://..., http(s)://..., /dev/videoN, or a file'),
      passwordFile: filePath
        .optional()
        .describe('file whose first line is the password of the user that the address names'),
      rtspTransport: z.enum(['tcp', 'udp']).default('tcp'),
      width: evenSide.default(1280).describe('frames are scaled to this width'),
      height: evenSide.default(720).describe('frames are scaled to this height'),
      fps: fps.optional().describe('frames a second to take; all when left out'),
      loop: z.boolean().default(false).describe('files only: begin again at the end'),
      pace: z
        .enum(['realtime', 'fast'])
        .default('realtime')
        .describe('files only: at their own pace, or as fast as possible'),
      ...cameraCommon,
    })
    .refine(...waits)
    .refine(
      ({ input, passwordFile }) =>
        passwordFile === undefined || (URL.canParse(input) && new URL(input).username !== ''),
      {
        path: ['passwordFile'],
        message: 'must be given together with an input that is an address and names a user (rtsp://user@...)',
      },
    )
    .refine(({ input, loop }) => !loop || isFile(input), {
      path: ['loop'],
      message: 'must be false: only a file can begin again',
    })
    .refine(({ input, pace }) => pace === 'realtime' || isFile(input), {
      path: ['pace'],
      message: 'must be realtime: only a file can be read faster',
    }),
  z
    .strictObject({
      kind: z.literal('replay').describe('pictures from a folder, or one MJPEG file'),
      path: filePath.describe('a folder of .jpg files, taken in name order, or an .mjpeg/.mjpg file'),
      fps: fps.default(30),
      pace: z.enum(['realtime', 'fast']).default('realtime'),
      loop: z.boolean().default(true),
      ...cameraCommon,
    })
    .refine(...waits),
  z
    .strictObject({
      kind: z.literal('scene').describe('a simulated road: no camera is needed'),
      ...sceneShape,
      ...cameraCommon,
    })
    .refine(...waits),
]);
export type CameraConfig = z.infer<typeof cameraSchema>;
export type CameraConfigOf<K extends CameraConfig['kind']> = Extract<CameraConfig, { kind: K }>;
