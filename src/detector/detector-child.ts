// Starts a detector process and knows its pipes: 3 messages, 4 frames for a busy process, 5 shared memory, 6 what it saw, 7 frames for
// an idle one.
import type { ChildProcess } from 'node:child_process';
import type { Readable, Writable } from 'node:stream';
import { BitlaneError } from '../errors.js';
import { spawnOwned } from '../system/index.js';
import { commandBehind, commandLast } from './priority.js';

export interface DetectorChild {
  readonly child: ChildProcess;
  /** Read by its intake thread, while the model is at work. */
  readonly early: Writable;
  /** Read by the model's own thread: no hand-over between threads, no copy, but only when it is idle. */
  readonly direct: Writable;
  readonly answers: Readable;
}

/**
 * @throws BitlaneError `DETECTOR_FAILED` where there are no file descriptors left for its pipes
 * @param shelf file descriptor of the shared memory, where there is some
 * @param turn `behind`: the process gets what the processor has left over, for now; `last`: as little as there is, for good
 */
export const spawnDetector = (
  script: string,
  args: readonly string[],
  shelf: number | undefined,
  turn: 'normal' | 'behind' | 'last',
): DetectorChild => {
  const whole = [script, ...args];
  const [command, commandArgs] =
    turn === 'behind'
      ? commandBehind(process.execPath, whole)
      : turn === 'last'
        ? commandLast(process.execPath, whole)
        : [process.execPath, whole];
  const child = spawnOwned(command, commandArgs, {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc', 'pipe', shelf ?? 'ignore', 'pipe', 'pipe'],
  });
  // The types of node know five pipes, and none of a process that could not be started for want of file descriptors.
  const pipes = child.stdio as readonly unknown[] | undefined;
  const [early, direct] = [pipes?.[4] as Writable | undefined, pipes?.[7] as Writable | undefined];
  const answers = pipes?.[6] as Readable | undefined;
  if (early === undefined || direct === undefined || answers === undefined) {
    child.on('error', () => undefined);
    throw new BitlaneError('DETECTOR_FAILED', 'the detector process could not be started with its pipes');
  }
  // A process that dies with frames in its pipe breaks the pipe; its exit says so already.
  for (const pipe of [early, direct, answers]) pipe.on('error', () => undefined);
  return { child, early, direct, answers };
};
