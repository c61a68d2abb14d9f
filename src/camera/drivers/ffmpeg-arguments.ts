// What ffmpeg is told, as a pure function of the configuration.
import type { CameraConfigOf } from '../../config/index.js';
import { BitlaneError } from '../../errors.js';

export type FfmpegInput = 'rtsp' | 'http' | 'v4l2' | 'file';

/** Which of the ways to read `input` is meant. Everything that is no address and no video device is a file. */
export const inputOf = (input: string): FfmpegInput => {
  const scheme = /^([A-Za-z][A-Za-z0-9+.-]*):\/\//.exec(input)?.[1]?.toLowerCase();
  switch (scheme) {
    case 'rtsp':
    case 'rtsps':
      return 'rtsp';
    case 'http':
    case 'https':
      return 'http';
    case undefined:
      return input.startsWith('/dev/video') ? 'v4l2' : 'file';
    default:
      throw new BitlaneError(
        'CAMERA_FAILED',
        `camera.input names the scheme ${JSON.stringify(scheme)}: rtsp, rtsps, http and https are read, video devices and files`,
      );
  }
};

/** Containers that hold pictures themselves: no playlists and no scripts, which would name further files to read. */
const CONTAINERS = [
  'mov',
  'matroska',
  'webm',
  'avi',
  'mpegts',
  'mpeg',
  'flv',
  'asf',
  'ogg',
  'mxf',
  'h264',
  'hevc',
  'm4v',
  'mpegvideo',
  'mjpeg',
  'ivf',
  'obu',
  'yuv4mpegpipe',
].join(',');

/** The address with the password from `passwordFile` in it, percent-encoded. */
const addressOf = (input: string, password: string | undefined): string => {
  if (password === undefined) return input;
  let address: URL;
  try {
    address = new URL(input);
  } catch (error) {
    throw new BitlaneError('CAMERA_FAILED', 'camera.input is no valid address', { cause: error });
  }
  if (address.username === '') {
    throw new BitlaneError('CAMERA_FAILED', 'camera.passwordFile is set, but camera.input names no user');
  }
  address.password = encodeURIComponent(password);
  return address.href;
};

const inputArguments = (
  config: CameraConfigOf<'ffmpeg'>,
  kind: FfmpegInput,
  password: string | undefined,
): string[] => {
  const microseconds = String(config.stallTimeoutMs * 1000);
  switch (kind) {
    case 'rtsp':
      return [
        ['-protocol_whitelist', 'rtsp,rtp,udp,tcp,tls'],
        ['-rtsp_transport', config.rtspTransport],
        ['-timeout', microseconds],
        ['-fflags', 'nobuffer'],
        ['-i', addressOf(config.input, password)],
      ].flat();
    case 'http':
      return [
        ['-protocol_whitelist', 'http,https,tcp,tls,crypto'],
        ['-format_whitelist', `${CONTAINERS},mpjpeg,hls`],
        ['-rw_timeout', microseconds],
        ['-i', addressOf(config.input, password)],
      ].flat();
    case 'v4l2':
      return [
        ['-f', 'v4l2'],
        ...(config.fps === undefined ? [] : [['-framerate', String(config.fps)]]),
        ['-video_size', `${config.width}x${config.height}`],
        ['-i', config.input],
      ].flat();
    case 'file':
      return [
        ['-protocol_whitelist', 'file'],
        ['-format_whitelist', CONTAINERS],
        ...(config.loop ? [['-stream_loop', '-1']] : []),
        ...(config.pace === 'realtime' ? [['-re']] : []),
        // With the scheme a name with a colon in it stays a name.
        ['-i', `file:${config.input}`],
      ].flat();
  }
};

/**
 * Arguments for ffmpeg 5.1 or newer: raw `yuv420p` pictures of `width` x `height` on stdout, BT.601 and full range whatever the
 * input held.
 *
 * @param password goes into the address
 * @throws BitlaneError `CAMERA_FAILED` for an address that cannot be read
 */
export const ffmpegArguments = (config: CameraConfigOf<'ffmpeg'>, password?: string): string[] => {
  const filters = [
    ...(config.fps === undefined ? [] : [`fps=${config.fps}`]),
    `scale=${config.width}:${config.height}:flags=bilinear:out_color_matrix=bt601:out_range=full`,
    'format=yuv420p',
  ];
  return [
    ['-hide_banner', '-nostdin', '-nostats'],
    ['-loglevel', 'error'],
    inputArguments(config, inputOf(config.input), password),
    ['-map', '0:v:0', '-an', '-sn', '-dn'],
    ['-vf', filters.join(',')],
    // Frames as they come: the default repeats and drops some to fill a constant rate.
    ['-fps_mode', 'passthrough'],
    ['-f', 'rawvideo', '-pix_fmt', 'yuv420p', 'pipe:1'],
  ].flat();
};
