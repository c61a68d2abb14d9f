// A broker of one connection after the other that answers each publish with the reason code that a test asks for (MQTT 5, QoS 1).
import { createServer, type Socket } from 'node:net';
import type { Test } from 'tap';

export interface Published {
  readonly topic: string;
  readonly json: Readonly<Record<string, unknown>>;
  /** Since the first; 1 is the first. */
  readonly connection: number;
}

/** A variable byte integer: its value and length, or `undefined` where more bytes are needed. */
const varint = (bytes: Buffer, at: number): readonly [number, number] | undefined => {
  let value = 0;
  for (let index = 0; index < 4; index += 1) {
    const byte = bytes[at + index];
    if (byte === undefined) return undefined;
    value += (byte & 127) * 128 ** index;
    if (byte < 128) return [value, index + 1];
  }
  throw new Error('this is no MQTT');
};

const readPublish = (
  body: Buffer,
): { readonly id: number; readonly topic: string; readonly text: string } => {
  const end = 2 + body.readUInt16BE(0);
  const [properties, width] = varint(body, end + 2) ?? [0, 1];
  return {
    topic: body.toString('utf8', 2, end),
    id: body.readUInt16BE(end),
    text: body.toString('utf8', end + 2 + width + properties),
  };
};

/** @param codeOf the answer to a publish */
export const startPubackBroker = async (t: Test, codeOf: (message: Published) => number): Promise<string> => {
  let connections = 0;
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    connections += 1;
    const connection = connections;
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket)).on('error', () => undefined);
    let waiting = Buffer.alloc(0);
    const answer = (type: number, body: Buffer): void => {
      if (type === 1) socket.write(Buffer.from([0x20, 3, 0, 0, 0]));
      else if (type === 8) socket.write(Buffer.from([0x90, 4, body[0] ?? 0, body[1] ?? 0, 0, 1]));
      else if (type === 12) socket.write(Buffer.from([0xd0, 0]));
      else if (type === 3) {
        const { id, topic, text } = readPublish(body);
        const json = JSON.parse(text) as Published['json'];
        socket.write(Buffer.from([0x40, 3, id >> 8, id & 255, codeOf({ topic, json, connection })]));
      }
    };
    socket.on('data', (chunk: Buffer) => {
      waiting = Buffer.concat([waiting, chunk]);
      for (;;) {
        const length = varint(waiting, 1);
        if (length === undefined) return;
        const [size, width] = length;
        if (waiting.length < 1 + width + size) return;
        answer((waiting[0] ?? 0) >> 4, waiting.subarray(1 + width, 1 + width + size));
        waiting = waiting.subarray(1 + width + size);
      }
    });
  });
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('it has no port');
  return `mqtt://127.0.0.1:${address.port}`;
};
