// Times models in turns, in a process of its own: nothing else runs in it, and no two sessions run at once.
import { messageOf } from '../errors.js';
import { noiseBytes, noiseTensor, openSession, type Session, type Tensors } from '../runtime/index.js';
import { type TimingReply, type TimingRequest, timingRequestSchema } from './timing-messages.js';

const WARM_UP = 2;

/** Noise as a model takes it: bytes where it takes bytes. */
const noiseFor = ({ inputs }: Session, { name, dims }: TimingRequest['input']): Tensors => {
  const declared = inputs.find((input) => input.name === name);
  return {
    [name]: declared?.type === 'uint8' ? noiseBytes(declared.shape.map(Number)) : noiseTensor(dims),
  };
};

const time = async ({ models, input, rounds, limitMs, threads }: TimingRequest): Promise<TimingReply> => {
  const sessions: Session[] = [];
  try {
    for (const model of models) sessions.push(await openSession(model, { threads }));
    const feeds = sessions.map((session) => noiseFor(session, input));
    for (const [index, session] of sessions.entries()) {
      for (let i = 0; i < WARM_UP; i++) await session.run(feeds[index] ?? {});
    }
    const times = sessions.map((): number[] => []);
    const until = performance.now() + limitMs;
    for (let round = 0; round < rounds && (round === 0 || performance.now() < until); round++) {
      for (const [index, session] of sessions.entries()) {
        const start = performance.now();
        await session.run(feeds[index] ?? {});
        times[index]?.push(performance.now() - start);
      }
    }
    return { type: 'timed', times };
  } finally {
    for (const session of sessions) await session.release();
  }
};

const replyTo = async (raw: unknown): Promise<TimingReply> => {
  try {
    return await time(timingRequestSchema.parse(raw));
  } catch (error) {
    return { type: 'failed', message: messageOf(error) };
  }
};

process.on('message', (raw) => void replyTo(raw).then((reply) => process.send?.(reply)));
process.on('disconnect', () => process.exit(0));
