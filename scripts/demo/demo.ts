// The whole story on a simulated road: the daemon detects, counts, keeps hard examples, finds its confusions, adapts, swaps.
import { spawn } from 'node:child_process';
import { BitlaneError, messageOf } from '../../src/errors.js';
import { stopChild } from '../../src/system/index.js';
import { Listener } from './listener.js';
import { cliScript, DEVICE, type PlaceOptions, prepare } from './place.js';
import { pause, seconds, tell } from './say.js';
import { missing, play, type Story } from './story.js';

export interface DemoOptions extends PlaceOptions {
  /** Whether the daemon runs on afterwards, until Ctrl-C. */
  readonly goOn: boolean;
}

/** How long a broker is waited for, and how long nothing is said of it. */
const BROKER_S = 30;
const QUIET_S = 5;

const openListener = async (listener: Listener, url: string): Promise<void> => {
  const begun = seconds();
  let isSaid = false;
  for (;;) {
    try {
      await listener.open(url);
      return;
    } catch (error) {
      if (seconds() > begun + BROKER_S) {
        throw new BitlaneError('TIMEOUT', `the broker ${url} does not answer: ${messageOf(error)}`, {
          cause: error,
        });
      }
      // One of the daemon's own needs a moment to be there.
      if (!isSaid && seconds() > begun + QUIET_S) {
        tell(`the broker does not answer yet; another ${BROKER_S - QUIET_S} s are waited for it`);
        isSaid = true;
      }
    }
    await pause(300);
  }
};

/**
 * Runs the daemon and tells what it does. Nothing of it is left running.
 *
 * @returns what happened, and what did not, in plain sentences
 */
export const runDemo = async (options: DemoOptions): Promise<Story & { readonly problems: string[] }> => {
  const place = await prepare(options);
  const daemon = spawn(process.execPath, [cliScript, 'run', '--config', place.config], {
    stdio: ['ignore', 'ignore', 'ignore'],
  });
  const listener = new Listener(DEVICE);
  const end = (): void => void stopChild(daemon, 20_000).then(() => process.exit(130));
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, end);
  const url = options.mqtt ?? `mqtt://127.0.0.1:${options.port}`;
  try {
    tell(`the daemon starts; its broker is ${url}`);
    await openListener(listener, url);
    const story = await play(listener, daemon, place);
    const problems = missing(story);
    const { frames, report } = story;
    tell(
      `${frames.received} frames: ${frames.detected} detected, ${frames.skipped} skipped for newer ones, ${frames.lost} lost`,
    );
    tell(`what changed, in pictures: ${report}`);
    for (const problem of problems) tell(`MISSING: ${problem}`);
    if (options.goOn) {
      tell(`it goes on; Ctrl-C ends it. Listen with: mosquitto_sub -L ${url}/bitlane/# -v`);
      await new Promise((done) => daemon.once('exit', done));
    }
    return { ...story, problems };
  } finally {
    await listener.close();
    await stopChild(daemon, 20_000);
  }
};
