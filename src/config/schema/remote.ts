// The section `remote`: what may be changed from afar.
import { z } from 'zod';

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
  'examples.reasons',
  'examples.margin',
  'examples.uncertainScore',
  'examples.stableFrames',
  'examples.stableShare',
  'examples.maxMb',
  'examples.maxAgeDays',
  'examples.perPair',
  'examples.perHour',
  'examples.reserveMb',
  'examples.teacher',
  'confusions',
  'adaptation.enabled',
  'adaptation.schedule',
  'adaptation.everyDays',
  'adaptation.onDrift',
  'adaptation.onHeat',
  'adaptation.heatMinutes',
  'adaptation.budget',
  'adaptation.pictures',
  'adaptation.calibrationPictures',
  'adaptation.objective',
  'adaptation.betweenFrames',
  'adaptation.processes',
  'adaptation.memoryMb',
  'adaptation.deadlineMinutes',
  'adaptation.cacheMb',
  'adaptation.minPictures',
  'adaptation.minObjects',
  'adaptation.maxDrop',
  'adaptation.canaryFrames',
  'adaptation.minAgreement',
  'adaptation.watch',
  'adaptation.ladder',
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
      'keys (with everything below them) that `config/desired` may change; the list replaces the default one. `stateDir`, `runtimeDir`, ' +
        '`device` and `remote` can never stand in it. The default leaves out, among others, what names a file, a host or a topic ' +
        '(`camera.input`, `camera.path`, `adaptation.data`, `adaptation.profile`, all of `mqtt`) and what decides which pictures are kept or ' +
        'leave the device (`masks`, `examples.enabled`, `examples.wholeFrames`, `telemetry.snapshots`). While `masks` are set, `camera.rotation`, `camera.hflip` and `camera.vflip` are refused unless the same ' +
        'change set has `masks`. With `mqtt` in it, a wrong address is ' +
        'taken up like any other, and the device is out of reach',
    ),
});
