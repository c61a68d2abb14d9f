// An MQTT broker (3.1.1) for this device alone, in a process of its own: what its clients do to it does not touch the supervisor.
import { createServer } from 'node:net';
import { Aedes } from 'aedes';
import { messageOf } from '../errors.js';
import { BROKER_HOST, type BrokerReport } from './broker-messages.js';

const KEEPALIVE_LIMIT_S = 3_600;
const QUEUE_LIMIT = 1_000;
const MOST_CONNECTIONS = 100;

const report = (message: BrokerReport): void => void process.send?.(message);

const fail = (error: unknown): void => {
  report({ type: 'failed', message: messageOf(error) });
  process.exit(1);
};

const serve = async (port: number): Promise<void> => {
  const broker = await Aedes.createBroker({ keepaliveLimit: KEEPALIVE_LIMIT_S, queueLimit: QUEUE_LIMIT });
  // A client that breaks the protocol loses its connection, and that is all.
  broker.on('clientError', (client) => client.close());
  broker.on('connectionError', (client) => client.close());
  const server = createServer((socket) => {
    socket.on('error', () => socket.destroy());
    broker.handle(socket);
  });
  server.maxConnections = MOST_CONNECTIONS;
  server.on('error', fail);
  server.listen(port, BROKER_HOST, () => report({ type: 'listening' }));
};

process.on('disconnect', () => process.exit(0));
process.on('SIGTERM', () => process.exit(0));
void serve(Number(process.argv[2])).catch(fail);
