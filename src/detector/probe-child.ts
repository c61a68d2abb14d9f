// Tries models, in a process of its own: a hostile one may crash it, hang it or eat its memory. One request, one reply.
import { readFileSync } from 'node:fs';
import { asBitlaneError, BitlaneError, messageOf } from '../errors.js';
import { hashBytes, type InputSpec } from '../registry/index.js';
import { type Session, type Tensors, withSession } from '../runtime/index.js';
import { inputTensor, newInputData, Pipeline } from '../vision/index.js';
import { checkOutputValues } from './check-outputs.js';
import { describeInput, describeModel } from './describe.js';
import { type ProbeReply, type ProbeRequest, probeRequestSchema } from './probe-messages.js';

const GREY = 128;
/** What a daemon would use; the values themselves are checked apart from it. */
const OPTIONS = { scoreThreshold: 0.1, iouThreshold: 0.65, maxDetections: 100 } as const;

const runOnGrey = (session: Session, input: InputSpec): Promise<Tensors> => {
  const { name, width, height, mean, scale } = input;
  const grey = newInputData(input);
  const plane = width * height;
  if (grey instanceof Uint8Array) grey.fill(GREY);
  else mean.forEach((value, i) => grey.fill((GREY - value) * (scale[i] ?? 1), i * plane, (i + 1) * plane));
  return session.run({ [name]: inputTensor(input, grey) });
};

const probe = async ({ model, about }: ProbeRequest): Promise<ProbeReply> => {
  let bytes: Uint8Array;
  try {
    bytes = readFileSync(model);
  } catch (error) {
    throw new BitlaneError('BAD_MODEL', `it cannot be read: ${messageOf(error)}`, { cause: error });
  }
  // From bytes, so that nothing beside the file is opened whatever it says.
  return withSession(bytes, { arena: false }, async (session) => {
    const input = 'detector' in about ? about.detector.input : describeInput(session.inputs, about.hints);
    const outputs = await runOnGrey(session, input);
    const detector = 'detector' in about ? about.detector : describeModel(input, outputs, about.hints);
    const pipeline = new Pipeline(session, detector, OPTIONS);
    checkOutputValues(outputs, detector);
    const { width, height } = input;
    const data = new Uint8Array(3 * width * height).fill(GREY);
    const { timings } = await pipeline.detect({ format: 'rgb24', width, height, data });
    return { type: 'served', id: hashBytes(bytes), detector, inferenceMs: timings.inferenceMs };
  });
};

const replyTo = async (raw: unknown): Promise<ProbeReply> => {
  try {
    return await probe(probeRequestSchema.parse(raw));
  } catch (error) {
    const { code, message } = asBitlaneError(error);
    return {
      type: 'refused',
      code: code === 'UNSUPPORTED' || code === 'INTERNAL' ? code : 'BAD_MODEL',
      message: message.slice(0, 2048),
    };
  }
};

process.on('message', (raw) => void replyTo(raw).then((reply) => process.send?.(reply)));
process.on('disconnect', () => process.exit(0));
process.send?.('ready');
