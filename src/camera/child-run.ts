// One run of a driver whose frames come from the stdout of a child process.
import type { ChildProcess } from 'node:child_process';
import { messageOf } from '../errors.js';
import { spawnOwned, stopChild } from '../system/index.js';
import { howItEnded, LastLines } from './child-output.js';
import type { Run, Sink } from './driver.js';
import type { FrameReader } from './frame-reader.js';
import { pumpEvery, pumpNewest } from './pump.js';

/** A camera program that is asked to end gets this long before it is killed. */
export const GRACE_MS = 1_000;

export interface ChildPlan {
  /** For sentences. */
  readonly name: string;
  /** Absolute path. */
  readonly command: string;
  readonly args: readonly string[];
  readonly environment: NodeJS.ProcessEnv;
  /** Makes frames of what comes on its stdout. */
  readonly reader: FrameReader;
  readonly everyFrame: boolean;
  /** What the child reads on stdin; nothing when left out. */
  readonly input?: string;
  /** Never to be shown. */
  readonly secrets?: readonly string[];
  /** Looks at a line of stderr; returns a sentence when it means that the run is of no use. */
  readonly judgeLine?: (line: string) => string | undefined;
  /** True when exit code 0 is the end of the source and not a failure. */
  readonly finite: boolean;
}

const outcomeOf = (child: ChildProcess): Promise<[number | null, NodeJS.Signals | null] | Error> =>
  new Promise((resolve) => {
    child.once('error', resolve);
    child.once('close', (code, signal) => resolve([code, signal]));
  });

const follow = async (child: ChildProcess, plan: ChildPlan, sink: Sink): Promise<void> => {
  const outcome = outcomeOf(child);
  const lines = new LastLines(plan.secrets, (line) => {
    const fault = plan.judgeLine?.(line);
    if (fault !== undefined) sink.failed(fault);
  });
  if (child.stderr !== null) lines.read(child.stderr);
  if (child.stdin !== null) child.stdin.on('error', () => undefined).end(plan.input);
  let frames = 0;
  const counting: Sink = {
    ...sink,
    frame: (picture, atMs) => {
      frames += 1;
      sink.frame(picture, atMs);
    },
  };
  const pump = plan.everyFrame ? pumpEvery : pumpNewest;
  if (child.stdout !== null) await pump(child.stdout, plan.reader, counting);
  const ended = await outcome;
  if (ended instanceof Error) sink.failed(`${plan.name} could not be started: ${ended.message}`);
  else if (plan.finite && ended[0] === 0 && frames > 0) sink.ended();
  else if (plan.finite && ended[0] === 0) sink.failed(`${plan.name} found no picture in its input`);
  else sink.failed(howItEnded(plan.name, ...ended, lines));
};

/** Makes the plan, spawns the child and reads it. A plan that cannot be made is a failure of the run. */
export const runChild = (makePlan: () => Promise<ChildPlan>, sink: Sink): Run => {
  let stopped = false;
  let child: ChildProcess | undefined;
  const opening = (async () => {
    try {
      const plan = await makePlan();
      if (stopped) return;
      child = spawnOwned(plan.command, plan.args, {
        env: plan.environment,
        stdio: [plan.input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
      });
      void follow(child, plan, sink);
    } catch (error) {
      sink.failed(messageOf(error));
    }
  })();
  return {
    stop: async () => {
      stopped = true;
      await opening;
      if (child === undefined) return;
      // A child that is blocked in a write learns from the closed pipe that nobody reads any more.
      for (const stream of child.stdio) stream?.destroy();
      await stopChild(child, GRACE_MS);
    },
  };
};
