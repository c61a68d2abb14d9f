// Turns in a canary: never two models at once, every frame shown to both, and nobody waits for a candidate that hangs.
import t from 'tap';
import { CanaryTurns } from '../../src/detector/turns.js';
import type { FrameResult } from '../../src/detector/generation.js';
import type { Frame } from '../../src/vision/index.js';

const frame = (seq: number): Frame => ({
  seq,
  format: 'jpeg',
  width: 8,
  height: 8,
  data: new Uint8Array(4),
  receivedAtMs: 0,
  wallMs: 0,
});

const answer = (seq: number, inferenceMs: number): FrameResult => ({
  generation: 1,
  artifactId: 'a'.repeat(64),
  frame: frame(seq),
  detections: [],
  nonFinite: 0,
  timings: { preprocessMs: 0, inferenceMs, postprocessMs: 0 },
  totalMs: inferenceMs,
});

/** Counts frames in flight; takes what it is offered. */
class Stand {
  inFlight = 0;
  readonly seen: number[] = [];
  offer(given: Frame): boolean {
    this.inFlight += 1;
    this.seen.push(given.seq);
    return true;
  }
}

t.test('they take turns, and both see every frame', (t) => {
  const [serving, candidate] = [new Stand(), new Stand()];
  const turns = new CanaryTurns(serving, candidate, () => t.fail('nobody is impatient'));
  for (let seq = 0; seq < 20; seq += 1) {
    t.ok(turns.next(), 'the serving generation may have a frame');
    serving.offer(frame(seq));
    turns.show(frame(seq));
    t.notOk(turns.next(), 'while it works nobody else does');
    t.equal(candidate.inFlight, 0);
    serving.inFlight = 0;
    // So long that no timer of this test fires.
    turns.answered(answer(seq, 60_000));
    t.notOk(turns.next(), 'now it is the turn of the candidate');
    t.equal(candidate.inFlight, 1);
    t.notOk(turns.next());
    candidate.inFlight = 0;
  }
  turns.stop();
  t.same(candidate.seen, serving.seen);
  t.end();
});

t.test('a candidate that hangs is not waited for, and sees the newest frame when it is back', async (t) => {
  const [serving, candidate] = [new Stand(), new Stand()];
  let goOn: () => void = () => undefined;
  const impatient = new Promise<void>((resolve) => (goOn = resolve));
  const turns = new CanaryTurns(serving, candidate, () => goOn());
  t.teardown(() => turns.stop());
  t.ok(turns.next());
  serving.offer(frame(0));
  turns.show(frame(0));
  serving.inFlight = 0;
  turns.answered(answer(0, 2));
  t.notOk(turns.next());
  t.same(candidate.seen, [0]);
  await impatient;
  for (const seq of [1, 2, 3]) {
    t.ok(turns.next(), 'the serving generation goes on beside it');
    serving.offer(frame(seq));
    turns.show(frame(seq));
    t.notOk(turns.next(), 'but holds one frame at a time');
    serving.inFlight = 0;
    turns.answered(answer(seq, 60_000));
  }
  candidate.inFlight = 0;
  t.notOk(turns.next());
  t.same(candidate.seen, [0, 3], 'what it missed is not made up for');
});
